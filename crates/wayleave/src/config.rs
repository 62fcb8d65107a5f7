//! The configuration file of `wayleave serve`; `deploy/wayleave.toml` is its annotated example.

mod crawler;
mod limit;
mod limits;
mod route;
mod scheme;
mod upstream;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use wayleave_core::Environment;
use wayleave_engine::{Algorithm, Database, Operators};
use wayleave_protocol::described::Description;
use wayleave_web::{Authorities, ContentSurface, Mount, SurfaceSettings, TrustedProxies};

use crate::node::{AddressSettings, EnvironmentSettings, NodeSettings};
use crate::operators_file::OperatorsFile;
use crate::tls::TlsFiles;
use crate::traces::TraceSettings;
use crate::{safety, spelling};

use self::crawler::CrawlerConfig;
use self::limit::{LimitConfig, Limits, PlanConfig};
use self::limits::LimitsConfig;
use self::route::RouteConfig;
use self::scheme::Schemes;
pub(crate) use self::scheme::described_scheme;
use self::upstream::{Addresses, Forwarding, Servers};

/// How long requests in flight may take after the end was asked for, unless set.
pub const DEFAULT_DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
const LONGEST_DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// What the file says. Unknown keys are errors.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The folder of SQLite files and master keys.
    data: PathBuf,
    /// How many threads serve requests; all cores unless set.
    threads: Option<usize>,
    /// How long requests in flight may take after the end was asked for.
    drain_timeout_s: Option<u64>,
    live: EnvironmentConfig,
    test: EnvironmentConfig,
    admin: AdminConfig,
    monitor: Option<MonitorConfig>,
    traces: Option<TracesConfig>,
    #[serde(default)]
    proxies: ProxiesConfig,
    #[serde(default)]
    tokens: TokensConfig,
    #[serde(default)]
    limits: LimitsConfig,
    #[serde(default)]
    surfaces: SurfacesConfig,
    /// Schemes that routes name.
    #[serde(default)]
    scheme: Vec<Description>,
    #[serde(default)]
    limit: Vec<LimitConfig>,
    #[serde(default)]
    plan: Vec<PlanConfig>,
    #[serde(default)]
    crawler: Vec<CrawlerConfig>,
    #[serde(default)]
    usage: UsageConfig,
    #[serde(default)]
    route: Vec<RouteConfig>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EnvironmentConfig {
    address: SocketAddr,
    public_url: Option<String>,
    /// Further names under which clients reach it, such as `api.example.com:8443`.
    #[serde(default)]
    authorities: Vec<String>,
    host: Option<String>,
    #[serde(default)]
    prefix: String,
    /// A path, or a PostgreSQL URL without a password.
    database: Option<String>,
    /// A file that holds the PostgreSQL URL.
    database_url_file: Option<PathBuf>,
    /// The environment variable that holds it.
    database_url_env: Option<String>,
    master_key_file: Option<PathBuf>,
    tls: Option<TlsFiles>,
    /// Whether the hooks of orders may call this machine.
    #[serde(default)]
    hooks_to_loopback: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AdminConfig {
    address: SocketAddr,
    operators_file: PathBuf,
    tls: Option<TlsFiles>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MonitorConfig {
    address: SocketAddr,
    /// Whether the address may be off loopback.
    #[serde(default)]
    allow_remote: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TracesConfig {
    collector: String,
    #[serde(default = "TracesConfig::usual_ratio")]
    sample_ratio: f64,
}

impl TracesConfig {
    fn usual_ratio() -> f64 {
        0.01
    }

    fn settings(&self) -> Result<TraceSettings, ConfigError> {
        if !(0.0..=1.0).contains(&self.sample_ratio) {
            return Err(wrong("traces.sample_ratio", "is a share from 0 to 1"));
        }
        let collector = self.collector.parse();
        Ok(TraceSettings {
            collector: collector.map_err(|error| wrong("traces.collector", error))?,
            sample_ratio: self.sample_ratio,
        })
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProxiesConfig {
    #[serde(default)]
    trusted: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct TokensConfig {
    algorithm: String,
}

impl Default for TokensConfig {
    fn default() -> Self {
        TokensConfig {
            algorithm: "ES256".to_owned(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct UsageConfig {
    /// 0: for ever.
    hours_kept_days: u32,
}

impl Default for UsageConfig {
    fn default() -> Self {
        UsageConfig {
            hours_kept_days: 62,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct SurfacesConfig {
    oauth: SurfaceConfig,
    platform: SurfaceConfig,
    token: SurfaceConfig,
    content: ContentConfig,
    forward_auth: SurfaceConfig,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct SurfaceConfig {
    enabled: Option<bool>,
    host: Option<String>,
    prefix: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ContentConfig {
    enabled: Option<bool>,
    host: Option<String>,
    prefix: String,
    /// The API that answers in it, by environment; none: the node itself.
    upstream: BTreeMap<String, Addresses>,
    /// Names of limits.
    limits: Vec<String>,
}

impl ContentConfig {
    fn surface(&self) -> SurfaceConfig {
        let ContentConfig {
            enabled,
            host,
            prefix,
            ..
        } = self.clone();
        SurfaceConfig {
            enabled,
            host,
            prefix,
        }
    }
}

/// What is wrong with a configuration, and where.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {why}")]
pub struct ConfigError {
    /// The key, such as `route[2].path`.
    pub place: String,
    /// What is wrong and what would be right.
    pub why: String,
}

pub(crate) fn wrong(place: impl Into<String>, why: impl ToString) -> ConfigError {
    ConfigError {
        place: place.into(),
        why: why.to_string(),
    }
}

/// What is wrong with a text that cannot be read. The line itself is not repeated: a secret may be
/// in it.
fn unreadable(text: &str, error: &toml::de::Error) -> ConfigError {
    let before = error.span().and_then(|span| text.get(..span.start));
    let number = before.map_or(1, |before| before.matches('\n').count() + 1);
    let line = text.lines().nth(number - 1).unwrap_or_default();
    let key = line.split_once('=').map_or(line, |(key, _)| key).trim();
    let mut why = error.message().trim().to_owned();
    let mut quoted = why.split('`').skip(1).step_by(2);
    if why.starts_with("unknown field")
        && let Some(unknown) = quoted.next()
        && let Some(meant) = spelling::nearest(unknown, quoted)
    {
        why = format!("did you mean `{meant}`? {why}");
    }
    wrong(format!("line {number} ({key})"), why)
}

impl Config {
    /// Reads a file. Errors name the line or the key.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let place = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| wrong(&place, error))?;
        Config::parse(&text).map_err(|error| wrong(format!("{place}, {}", error.place), error.why))
    }

    /// Reads the text of a file.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error| unreadable(text, &error))
    }

    /// Checks everything that can be checked without starting: the settings, and the files that
    /// they name. Returns the settings and the operators.
    pub fn check(&self) -> Result<(NodeSettings, Operators), ConfigError> {
        let settings = self.settings()?;
        safety::check_files(&settings)?;
        let operators = OperatorsFile::at(self.operators_file()).operators();
        let operators = operators.map_err(|error| wrong("admin.operators_file", error))?;
        Ok((settings, operators))
    }

    /// The file of the operators.
    pub fn operators_file(&self) -> PathBuf {
        self.in_data(&self.admin.operators_file)
    }

    fn in_data(&self, path: &Path) -> PathBuf {
        self.data.join(path)
    }

    fn tls(&self, files: Option<&TlsFiles>) -> Option<TlsFiles> {
        files.map(|files| TlsFiles {
            certificate: self.in_data(&files.certificate),
            key: self.in_data(&files.key),
        })
    }

    /// Makes the settings of a node, and refuses what clashes: two environments with one database
    /// or one unmarked address, two surfaces or routes with one address, a route that a built-in
    /// surface would hide.
    pub fn settings(&self) -> Result<NodeSettings, ConfigError> {
        let limits = Limits::read(&self.limit)?;
        let settings = NodeSettings {
            environments: [
                self.environment(Environment::Live, &self.live, &limits)?,
                self.environment(Environment::Test, &self.test, &limits)?,
            ],
            admin: AddressSettings {
                address: self.admin.address,
                or_free_port: false,
                tls: self.tls(self.admin.tls.as_ref()),
            },
            monitor: self.monitor()?,
            trusted_proxies: TrustedProxies::parse(&self.proxies.trusted)
                .map_err(|error| wrong("proxies.trusted", error))?,
            algorithm: self.algorithm()?,
            wrong_secrets_per_minute: self.limits.wrong_secrets_per_minute(),
            plans: limits.plans(&self.plan)?,
            crawlers: crawler::crawlers(&self.crawler)?,
            usage_hours_kept_days: self.usage.hours_kept_days,
            threads: self.threads.unwrap_or_else(available_threads).max(1),
            drain_timeout: self.drain_timeout()?,
            traces: self
                .traces
                .as_ref()
                .map(TracesConfig::settings)
                .transpose()?,
            limits: self.limits.server()?,
        };
        check_environments(&settings)?;
        for environment in &settings.environments {
            check_clashes(environment)?;
        }
        safety::check_settings(&settings)?;
        Ok(settings)
    }

    fn monitor(&self) -> Result<Option<SocketAddr>, ConfigError> {
        let Some(monitor) = &self.monitor else {
            return Ok(None);
        };
        let ip = monitor.address.ip();
        if ip.is_loopback() {
            return Ok(Some(monitor.address));
        }
        if is_public(ip) {
            return Err(wrong(
                "monitor.address",
                "is a public address, where everybody reads the metrics: take 127.0.0.1, or an address of your own network",
            ));
        }
        if !monitor.allow_remote {
            return Err(wrong(
                "monitor.address",
                "is off loopback, and whoever reaches it reads the metrics: take an address such as 127.0.0.1:9090, or set monitor.allow_remote = true where only your own machines reach it",
            ));
        }
        Ok(Some(monitor.address))
    }

    fn drain_timeout(&self) -> Result<Duration, ConfigError> {
        match self.drain_timeout_s.map(Duration::from_secs) {
            None => Ok(DEFAULT_DRAIN_TIMEOUT),
            Some(timeout) if timeout <= LONGEST_DRAIN_TIMEOUT => Ok(timeout),
            Some(_) => Err(wrong("drain_timeout_s", "is 30 seconds at most")),
        }
    }

    fn algorithm(&self) -> Result<Algorithm, ConfigError> {
        self.tokens
            .algorithm
            .parse()
            .map_err(|error| wrong("tokens.algorithm", error))
    }

    fn environment(
        &self,
        environment: Environment,
        config: &EnvironmentConfig,
        limits: &Limits,
    ) -> Result<EnvironmentSettings, ConfigError> {
        check_prefix(&format!("{environment}.prefix"), &config.prefix)?;
        check_public_url(
            &format!("{environment}.public_url"),
            config.public_url.as_deref(),
        )?;
        let master_key = config.master_key_file.clone();
        Ok(EnvironmentSettings {
            environment,
            address: AddressSettings {
                address: config.address,
                or_free_port: false,
                tls: self.tls(config.tls.as_ref()),
            },
            mount: Mount {
                host: config.host.clone(),
                prefix: config.prefix.clone(),
            },
            public_url: config.public_url.clone(),
            database: self.database(environment, config)?,
            master_key: self
                .in_data(&master_key.unwrap_or_else(|| default_master_key(environment))),
            hooks_to_loopback: config.hooks_to_loopback,
            surfaces: SurfaceSettings {
                authorities: authorities(
                    &format!("{environment}.authorities"),
                    &config.authorities,
                )?,
                ..self.surfaces(environment, limits)?
            },
        })
    }

    /// From the file that the setting names, from the environment variable, or from the setting.
    fn database(
        &self,
        environment: Environment,
        config: &EnvironmentConfig,
    ) -> Result<Database, ConfigError> {
        let place = format!("{environment}.database");
        let given = [
            config.database.is_some(),
            config.database_url_file.is_some(),
            config.database_url_env.is_some(),
        ];
        if given.into_iter().filter(|given| *given).count() > 1 {
            return Err(wrong(
                place,
                "is given twice: keep one of database, database_url_file and database_url_env",
            ));
        }
        if let Some(name) = &config.database_url_env {
            let url = std::env::var(name).map_err(|_| {
                let why = format!("names the variable {name}, which is not set");
                wrong(format!("{environment}.database_url_env"), why)
            })?;
            return Ok(Database::parse(url.trim()));
        }
        if let Some(file) = &config.database_url_file {
            let path = self.in_data(file);
            let text = crate::key_file::read_private(&path)
                .map_err(|error| wrong(format!("{environment}.database_url_file"), error))?;
            return Ok(Database::parse(text.trim()));
        }
        let variable = format!("WAYLEAVE_{}_DATABASE", environment.as_str().to_uppercase());
        if let Ok(url) = std::env::var(&variable) {
            return Ok(Database::parse(&url));
        }
        match config.database.as_deref().map(Database::parse) {
            None => Ok(Database::Sqlite(
                self.in_data(Path::new(&format!("{environment}.db"))),
            )),
            Some(Database::Sqlite(path)) => Ok(Database::Sqlite(self.in_data(&path))),
            Some(Database::Postgres(url)) if has_password(&url) => Err(wrong(
                place,
                format!(
                    "a password does not belong in this file: put the URL into a file and name it in {environment}.database_url_file, or into a variable and name it in {environment}.database_url_env"
                ),
            )),
            Some(postgres) => Ok(postgres),
        }
    }

    fn surfaces(
        &self,
        environment: Environment,
        limits: &Limits,
    ) -> Result<SurfaceSettings, ConfigError> {
        let surfaces = &self.surfaces;
        let mut servers = Servers::default();
        let content = mount("surfaces.content", &surfaces.content.surface(), false)?;
        Ok(SurfaceSettings {
            prefix: String::new(),
            trusted_proxies: TrustedProxies::default(),
            authorities: Authorities::default(),
            oauth: mount("surfaces.oauth", &surfaces.oauth, true)?,
            platform: mount("surfaces.platform", &surfaces.platform, false)?,
            token: mount("surfaces.token", &surfaces.token, false)?,
            content: match content {
                None => None,
                Some(mount) => {
                    let place = format!("surfaces.content.upstream.{environment}");
                    let upstream = surfaces.content.upstream.get(environment.as_str());
                    if upstream.is_none() && !surfaces.content.upstream.is_empty() {
                        return Err(wrong(
                            &place,
                            "is missing: the other environment has one; without any, the node answers itself",
                        ));
                    }
                    let behind = |upstream| {
                        servers.behind("surfaces.content", upstream, &Forwarding::default())
                    };
                    Some(ContentSurface {
                        mount,
                        upstream: upstream.map(behind).transpose()?,
                        limits: limits
                            .named("surfaces.content.limits", &surfaces.content.limits)?,
                    })
                }
            },
            forward_auth: mount("surfaces.forward_auth", &surfaces.forward_auth, true)?,
            body: self.limits.body(),
            routes: route::routes(
                &self.route,
                &Schemes::compile(&self.scheme)?,
                environment,
                limits,
                &self.data,
                &mut servers,
            )?,
        })
    }
}

/// Whether the whole Internet may know an address. All addresses of the machine (0.0.0.0) count as
/// not: in a container there is no other.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let is_shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
            !(ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_unspecified()
                || is_shared)
        }
        IpAddr::V6(ip) => {
            !(ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_unique_local()
                || ip.is_unicast_link_local())
        }
    }
}

/// Where an environment's master keys lie unless set, below the data folder.
pub fn default_master_key(environment: Environment) -> PathBuf {
    PathBuf::from(format!("master/{environment}.key"))
}

/// One thread for each core.
pub fn available_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Whether a database URL has a password in it.
pub(crate) fn has_password(url: &str) -> bool {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    let user = authority
        .split('/')
        .next()
        .and_then(|authority| authority.rsplit_once('@'));
    user.is_some_and(|(user, _)| user.contains(':')) || url.contains("password=")
}

fn check_prefix(place: &str, prefix: &str) -> Result<(), ConfigError> {
    let fine = prefix.is_empty()
        || (prefix.starts_with('/') && !prefix.ends_with('/') && !prefix.contains("//"));
    if !fine {
        return Err(wrong(
            place,
            "begins with a slash and has none at its end, such as /partners",
        ));
    }
    let stages = Environment::ALL
        .into_iter()
        .flat_map(Environment::stage_prefixes);
    match stages
        .into_iter()
        .find(|stage| prefix == **stage || prefix.starts_with(&format!("{stage}/")))
    {
        None => Ok(()),
        Some(stage) => Err(wrong(
            place,
            format!("{stage} names a stage of an environment already"),
        )),
    }
}

/// A public URL is what partners put before every path.
/// Names under which clients reach an environment besides its public URL.
fn authorities(place: &str, names: &[String]) -> Result<Authorities, ConfigError> {
    let mut authorities = Authorities::default();
    for name in names {
        let is_bare = name.parse::<http::uri::Authority>().is_ok() && !name.contains('@');
        if !is_bare {
            return Err(wrong(
                place,
                "has a name that is none: write host, or host and port, such as api.example.com:8443",
            ));
        }
        authorities.add(name);
    }
    Ok(authorities)
}

fn check_public_url(place: &str, url: Option<&str>) -> Result<(), ConfigError> {
    let Some(url) = url else { return Ok(()) };
    let uri: Option<http::Uri> = url.parse().ok();
    let fine = uri.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some()
            && uri.query().is_none()
    });
    if fine {
        Ok(())
    } else {
        Err(wrong(
            place,
            "is an address such as https://api.example.com",
        ))
    }
}

fn mount(
    place: &str,
    config: &SurfaceConfig,
    on_by_default: bool,
) -> Result<Option<Mount>, ConfigError> {
    if !config.enabled.unwrap_or(on_by_default) {
        return Ok(None);
    }
    check_prefix(&format!("{place}.prefix"), &config.prefix)?;
    Ok(Some(Mount {
        host: config.host.clone(),
        prefix: config.prefix.clone(),
    }))
}

fn check_environments(settings: &NodeSettings) -> Result<(), ConfigError> {
    let [live, test] = &settings.environments;
    if live.database == test.database {
        return Err(wrong(
            "test.database",
            "is the live database: each environment has its own (law 1)",
        ));
    }
    if live.master_key == test.master_key {
        return Err(wrong(
            "test.master_key_file",
            "is the live one: each environment has its own",
        ));
    }
    let url = |url: &Option<String>| {
        url.as_deref()
            .map(|url| url.trim_end_matches('/').to_owned())
    };
    if live.public_url.is_some() && url(&live.public_url) == url(&test.public_url) {
        return Err(wrong(
            "test.public_url",
            "is the live one: tokens would name the same issuer",
        ));
    }
    for environment in [live, test] {
        if settings.admin.address.port() != 0
            && settings.admin.address == environment.address.address
        {
            let name = environment.environment;
            return Err(wrong(
                "admin.address",
                format!("is the {name} address: the operator has one of their own"),
            ));
        }
    }
    if live.address.address == test.address.address {
        let tells = |mount: &Mount| mount.host.is_some() || !mount.prefix.is_empty();
        if !tells(&live.mount) || !tells(&test.mount) || live.mount == test.mount {
            return Err(wrong(
                "test.address",
                "is the live address: then each environment needs a host or a prefix that tells it apart",
            ));
        }
        if live.address.tls != test.address.tls {
            return Err(wrong(
                "test.tls",
                "differs from live.tls on a shared address; use one certificate for both names",
            ));
        }
    }
    Ok(())
}

/// Every address that built-in surfaces have: surface, host, path.
fn built_in(surfaces: &SurfaceSettings) -> Vec<(&'static str, Option<String>, String)> {
    let mut addresses = Vec::new();
    let mut add = |name, mount: Option<&Mount>, paths: &[&str]| {
        if let Some(mount) = mount {
            let all = paths
                .iter()
                .map(|path| (name, mount.host.clone(), format!("{}{path}", mount.prefix)));
            addresses.extend(all);
        }
    };
    let oauth = ["/oauth/token", "/oauth/introspect", "/oauth/revoke"];
    add("oauth", surfaces.oauth.as_ref(), &oauth);
    add(
        "platform",
        surfaces.platform.as_ref(),
        &["/authorize", "/api"],
    );
    add("token", surfaces.token.as_ref(), &["/token"]);
    let content = surfaces.content.as_ref().map(|content| &content.mount);
    add(
        "content",
        content,
        &["/api/Property", "/api/Resource", "/api/TemporaryUserToken"],
    );
    add(
        "forward_auth",
        surfaces.forward_auth.as_ref(),
        &["/auth/check"],
    );
    add(
        "the key set",
        Some(&Mount::default()),
        &[
            "/.well-known/jwks.json",
            "/.well-known/oauth-authorization-server",
        ],
    );
    addresses
}

fn hosts_meet(one: Option<&str>, other: Option<&str>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.eq_ignore_ascii_case(other),
        _ => true,
    }
}

/// Whether a path is an address or lies below it. The content addresses have no case, so no
/// address may differ by case alone.
fn is_within(path: &str, address: &str) -> bool {
    let (path, address) = (path.to_ascii_lowercase(), address.to_ascii_lowercase());
    path.strip_prefix(&address)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn check_clashes(settings: &EnvironmentSettings) -> Result<(), ConfigError> {
    let surfaces = &settings.surfaces;
    let addresses = built_in(surfaces);
    for (number, (name, host, path)) in addresses.iter().enumerate() {
        for (other, other_host, other_path) in &addresses[..number] {
            let is_api = path.ends_with("/api") || other_path.ends_with("/api");
            if name != other
                && !is_api
                && path == other_path
                && hosts_meet(host.as_deref(), other_host.as_deref())
            {
                let place = format!("surfaces.{name}");
                return Err(wrong(
                    place,
                    format!(
                        "has the address {path} of the surface {other} too: give one of them another host or prefix"
                    ),
                ));
            }
        }
    }
    for (number, route) in surfaces.routes.iter().enumerate() {
        let place = format!("route {} of {}", route.path, settings.environment);
        for (name, host, path) in &addresses {
            if hosts_meet(route.host.as_deref(), host.as_deref()) && is_within(&route.path, path) {
                return Err(wrong(
                    place,
                    format!(
                        "lies below {path} of the surface {name}, which would hide it: turn the surface off or move one of them by host or prefix"
                    ),
                ));
            }
        }
        for other in &surfaces.routes[..number] {
            if route.path == other.path && route.host == other.host {
                return Err(wrong(place, "is there twice"));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r#"
        data = "/data"
        [live]
        address = "127.0.0.1:8080"
        [test]
        address = "127.0.0.1:8081"
        [admin]
        address = "127.0.0.1:8082"
        operators_file = "operators.toml"
    "#;

    fn settings(more: &str) -> Result<NodeSettings, ConfigError> {
        Config::parse(&format!("{SMALL}{more}")).and_then(|config| config.settings())
    }

    fn refusal(more: &str) -> String {
        settings(more).expect_err("a refusal").to_string()
    }

    #[test]
    fn the_annotated_example_is_a_configuration() {
        let text = include_str!("../../../deploy/wayleave.toml");
        let config = Config::parse(text).expect("the example");
        config.settings().expect("its settings");
    }

    #[test]
    fn compatible_dialects_are_off_unless_asked_for() {
        let surfaces = &settings("").expect("settings").environments[0].surfaces;
        assert!(surfaces.oauth.is_some() && surfaces.forward_auth.is_some());
        assert!(
            surfaces.platform.is_none() && surfaces.token.is_none() && surfaces.content.is_none()
        );
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_the_known_ones() {
        let refused = refusal("[limits]\nwrong_secrets = 3");
        assert!(
            refused.contains("wrong_secrets") && refused.contains("wrong_secrets_per_minute"),
            "{refused}"
        );
    }

    #[test]
    fn a_route_that_a_surface_would_hide_is_refused() {
        let route = |path: &str| {
            format!(
                "[[route]]\npath = \"{path}\"\naudiences = [\"routes\"]\nschemes = [\"bearer\"]\nupstream.live = \"http://127.0.0.1:1\"\n"
            )
        };
        assert!(refusal(&route("/oauth/token/x")).contains("surface oauth"));
        assert!(
            settings(&route("/token")).is_ok(),
            "the token surface is off"
        );
        let with_token = format!("{}[surfaces.token]\nenabled = true", route("/token"));
        assert!(refusal(&with_token).contains("surface token"));
        assert!(refusal(&format!("{}{}", route("/a"), route("/a"))).contains("twice"));
        assert!(refusal(&route("/stag/x")).contains("stage"));
    }

    #[test]
    fn surfaces_and_addresses_that_clash_are_refused() {
        let clash = refusal("[surfaces.token]\nenabled = true\nprefix = \"/oauth\"");
        assert!(clash.contains("surface oauth"), "{clash}");
        let text = SMALL.replace("8082", "8080");
        let parse = |text: &str| {
            Config::parse(text)
                .and_then(|config| config.settings())
                .expect_err("a refusal")
                .to_string()
        };
        assert!(parse(&text).contains("admin.address"));
        let text = SMALL.replace("8081\"", "8081\"\npublic_url = \"nonsense\"");
        assert!(parse(&text).contains("https://api.example.com"));
        let one = "public_url = \"https://api.example.com\"";
        let text = SMALL
            .replace(
                "8081\"",
                &format!(
                    "8081\"
{}",
                    one.replace(".com", ".com/")
                ),
            )
            .replace("8080\"", &format!("8080\"\n{one}"));
        assert!(parse(&text).contains("issuer"));
        let hidden = "[[route]]\npath = \"/API/property\"\naudiences = [\"routes\"]\nschemes = [\"bearer\"]\nupstream.live = \"http://127.0.0.1:1\"\n[surfaces.content]\nenabled = true\nupstream = { live = \"http://127.0.0.1:1\", test = \"http://127.0.0.1:1\" }";
        assert!(refusal(hidden).contains("surface content"));
    }

    #[test]
    fn empty_tables_are_defaults_and_files_lie_below_data() {
        assert!(settings("[tokens]\n[limits]\n").is_ok());
        let text = SMALL.replace(
            "8081\"",
            "8081\"\ntls = { certificate = \"a.crt\", key = \"/k/a.pem\" }",
        );
        let settings = Config::parse(&text)
            .and_then(|config| config.settings())
            .expect("settings");
        let tls = settings.environments[1].address.tls.clone().expect("TLS");
        assert_eq!(
            (tls.certificate, tls.key),
            ("/data/a.crt".into(), "/k/a.pem".into())
        );
    }

    #[test]
    fn environments_never_share_a_database_nor_an_unmarked_address() {
        let text = SMALL.replace("8081\"", "8080\"");
        let refused = Config::parse(&text)
            .and_then(|config| config.settings())
            .expect_err("a refusal");
        assert!(
            refused.to_string().contains("shared") || refused.to_string().contains("live address")
        );
        let text = SMALL.replace("8081\"", "8081\"\ndatabase = \"live.db\"");
        let refused = Config::parse(&text)
            .and_then(|config| config.settings())
            .expect_err("a refusal");
        assert!(refused.to_string().contains("law 1"), "{refused}");
    }

    #[test]
    fn a_password_in_the_file_is_refused() {
        let text = SMALL.replace("8081\"", "8081\"\ndatabase = \"postgres://a:secret@db/x\"");
        let refused = Config::parse(&text)
            .and_then(|config| config.settings())
            .expect_err("a refusal");
        assert!(
            refused.to_string().contains("password") && !refused.to_string().contains("a:secret")
        );
    }
}
