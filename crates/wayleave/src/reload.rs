//! Taking over changed settings while the node serves. Everything that can fail is done first, so
//! that either all of it is taken over or nothing; connections stay open.

use std::sync::Arc;

use rustls::ServerConfig;
use wayleave_core::Environment;
use wayleave_engine::Operators;
use wayleave_web::{Admin, Route, SurfaceSettings};

use crate::node::{EnvironmentSettings, NodeSettings, Running, choices, load_certificate, show};
use crate::server::CurrentTls;
use crate::tls::{TlsError, TlsFiles};

/// A certificate that is ready to be used, and where.
type Exchange = (CurrentTls, Arc<ServerConfig>);

impl Running {
    /// Takes over routes, surfaces, trusted proxies, limits, plans, certificates and
    /// operators. Returns the keys whose change needs a restart; their old values stay.
    ///
    /// Errors: a certificate cannot be used; then nothing is taken over.
    pub fn reload(
        &mut self,
        wanted: NodeSettings,
        operators: Operators,
    ) -> Result<Vec<String>, TlsError> {
        let exchanges = self.load_certificates(&wanted)?;
        let needs_restart = needing_restart(&self.settings, &wanted);
        for (current, loaded) in exchanges {
            current.store(loaded);
        }
        self.take_over(wanted);
        let shown = show(&self.settings, &self.engines);
        self.monitor.tell_of(&shown);
        for served in &self.served {
            let choices = choices(&self.settings, &shown, &served.environments);
            served.choices.store(Arc::new(choices));
        }
        for engine in &self.engines {
            engine.limit_wrong_secrets(self.settings.wrong_secrets_per_minute);
            engine.set_plans(&self.settings.plans);
            engine.set_crawlers(self.settings.crawlers.clone());
            engine.keep_hours_of_usage(self.settings.usage_hours_kept_days);
        }
        self.operators.store(Arc::new(operators));
        let proxies = self.settings.trusted_proxies.clone();
        self.gate.trust(proxies.clone());
        let desk = Admin::new(&shown, self.operators.clone(), proxies);
        self.desk.store(Arc::new(desk));
        Ok(needs_restart)
    }

    /// Reads the certificates anew of every address that had TLS and still has.
    fn load_certificates(&self, wanted: &NodeSettings) -> Result<Vec<Exchange>, TlsError> {
        let mut exchanges = Vec::new();
        let mut add = |current: &Option<CurrentTls>, files: Option<&TlsFiles>| {
            if let (Some(current), Some(files)) = (current, files) {
                let loaded = load_certificate(files, &self.settings)?;
                exchanges.push((current.clone(), loaded));
            }
            Ok(())
        };
        for served in &self.served {
            let first = served.environments.first();
            let files = first.and_then(|first| of(wanted, *first).address.tls.as_ref());
            add(&served.tls, files)?;
        }
        add(&self.admin_tls, wanted.admin.tls.as_ref())?;
        Ok(exchanges)
    }

    /// What can change comes from the new settings, all else stays.
    fn take_over(&mut self, wanted: NodeSettings) {
        let settings = &mut self.settings;
        settings.trusted_proxies = wanted.trusted_proxies;
        settings.wrong_secrets_per_minute = wanted.wrong_secrets_per_minute;
        settings.plans = wanted.plans;
        settings.crawlers = wanted.crawlers;
        settings.usage_hours_kept_days = wanted.usage_hours_kept_days;
        for (own, mut new) in settings.environments.iter_mut().zip(wanted.environments) {
            keep_what_is_known(&mut new.surfaces, &own.surfaces);
            own.surfaces = new.surfaces;
        }
    }
}

/// How servers behind stand, their connections and the counts of their routes outlive the exchange
/// where route and server are still there.
fn keep_what_is_known(new: &mut SurfaceSettings, own: &SurfaceSettings) {
    for route in &mut new.routes {
        let is_same = |known: &&Route| known.path == route.path && known.host == route.host;
        if let Some(known) = own.routes.iter().find(is_same) {
            route.upstream = route.upstream.keeping(&known.upstream);
        }
    }
    let known = own.content.as_ref();
    if let Some(content) = &mut new.content
        && let Some(upstream) = &mut content.upstream
        && let Some(known) = known.and_then(|known| known.upstream.as_ref())
    {
        *upstream = upstream.keeping(known);
    }
}

fn of(settings: &NodeSettings, environment: Environment) -> &EnvironmentSettings {
    let [live, test] = &settings.environments;
    match environment {
        Environment::Live => live,
        Environment::Test => test,
    }
}

/// The keys that differ and cannot change while the node serves.
fn needing_restart(own: &NodeSettings, wanted: &NodeSettings) -> Vec<String> {
    let mut keys = Vec::new();
    let mut compare = |key: String, is_same: bool| {
        if !is_same {
            keys.push(key);
        }
    };
    for (own, new) in own.environments.iter().zip(&wanted.environments) {
        let name = own.environment;
        let address = (&own.address, &new.address);
        compare(
            format!("{name}.address"),
            address.0.address == address.1.address,
        );
        compare(
            format!("{name}.tls (on or off)"),
            address.0.tls.is_some() == address.1.tls.is_some(),
        );
        compare(format!("{name}.host"), own.mount.host == new.mount.host);
        compare(
            format!("{name}.prefix"),
            own.mount.prefix == new.mount.prefix,
        );
        compare(
            format!("{name}.hooks_to_loopback"),
            own.hooks_to_loopback == new.hooks_to_loopback,
        );
        compare(
            format!("{name}.public_url"),
            own.public_url == new.public_url,
        );
        compare(format!("{name}.database"), own.database == new.database);
        compare(
            format!("{name}.master_key_file"),
            own.master_key == new.master_key,
        );
    }
    compare(
        "admin.address".into(),
        own.admin.address == wanted.admin.address,
    );
    compare(
        "admin.tls (on or off)".into(),
        own.admin.tls.is_some() == wanted.admin.tls.is_some(),
    );
    compare("monitor.address".into(), own.monitor == wanted.monitor);
    compare("traces".into(), own.traces == wanted.traces);
    compare("tokens.algorithm".into(), own.algorithm == wanted.algorithm);
    compare(
        "limits (of connections and heads)".into(),
        own.limits == wanted.limits,
    );
    compare("threads".into(), own.threads == wanted.threads);
    compare(
        "drain_timeout_s".into(),
        own.drain_timeout == wanted.drain_timeout,
    );
    keys
}
