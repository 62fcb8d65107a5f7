use std::collections::BTreeMap;

use serde::Deserialize;
use wayleave_core::{Limit, Measure, Per, Plan, Rate, check_limit_name};
use wayleave_engine::MOST_LIMITS;

use super::{ConfigError, wrong};
use crate::spelling;

/// A `[[limit]]` of the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitConfig {
    name: String,
    requests: i64,
    /// Of a rate: its span in seconds.
    per_s: Option<u32>,
    /// Of a rate: how many at once; as many as `requests` unless set.
    burst: Option<u32>,
    /// Of a quota: `hour`, `day` or `month`.
    period: Option<String>,
    #[serde(default = "credential")]
    per: String,
}

fn credential() -> String {
    Per::Credential.as_str().to_owned()
}

/// A `[[plan]]` of the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlanConfig {
    name: String,
    /// Names of limits.
    limits: Vec<String>,
}

/// The limits of the file by their names.
pub(super) struct Limits(BTreeMap<String, Limit>);

impl Limits {
    pub(super) fn read(configs: &[LimitConfig]) -> Result<Self, ConfigError> {
        let mut limits = BTreeMap::new();
        for (number, config) in configs.iter().enumerate() {
            let place = format!("limit[{number}]");
            let limit = limit(&place, config)?;
            if limits.insert(config.name.clone(), limit).is_some() {
                return Err(wrong(format!("{place}.name"), "is there twice"));
            }
        }
        Ok(Limits(limits))
    }

    /// The limits of these names, in their order.
    pub(super) fn named(&self, place: &str, names: &[String]) -> Result<Vec<Limit>, ConfigError> {
        if names.len() > MOST_LIMITS {
            return Err(wrong(place, format!("names more than {MOST_LIMITS}")));
        }
        let mut found: Vec<Limit> = Vec::new();
        for name in names {
            let limit = self.0.get(name).ok_or_else(|| self.unknown(place, name))?;
            if found.contains(limit) {
                return Err(wrong(place, format!("names {name} twice")));
            }
            found.push(limit.clone());
        }
        Ok(found)
    }

    fn unknown(&self, place: &str, name: &str) -> ConfigError {
        let known = self.0.keys().map(String::as_str);
        let guess = spelling::nearest(name, known);
        let guess = guess.map_or_else(String::new, |meant| format!("; did you mean {meant}?"));
        wrong(
            place,
            format!("names {name}, but no [[limit]] has that name{guess}"),
        )
    }

    pub(super) fn plans(&self, configs: &[PlanConfig]) -> Result<Vec<Plan>, ConfigError> {
        let mut plans: Vec<Plan> = Vec::new();
        for (number, config) in configs.iter().enumerate() {
            let place = format!("plan[{number}]");
            let name = format!("{place}.name");
            check_limit_name(&config.name).map_err(|error| wrong(&name, error))?;
            if plans.iter().any(|plan| plan.name == config.name) {
                return Err(wrong(name, "is there twice"));
            }
            plans.push(Plan {
                name: config.name.clone(),
                limits: self.named(&format!("{place}.limits"), &config.limits)?,
            });
        }
        Ok(plans)
    }
}

fn limit(place: &str, config: &LimitConfig) -> Result<Limit, ConfigError> {
    check_limit_name(&config.name).map_err(|error| wrong(format!("{place}.name"), error))?;
    Ok(Limit {
        name: config.name.clone(),
        per: config
            .per
            .parse()
            .map_err(|error| wrong(format!("{place}.per"), error))?,
        measure: measure(place, config)?,
    })
}

fn measure(place: &str, config: &LimitConfig) -> Result<Measure, ConfigError> {
    let measure = match (config.per_s, &config.period) {
        (Some(per_s), None) => {
            let requests = u32::try_from(config.requests).unwrap_or(0);
            let burst = config.burst.unwrap_or(requests);
            Rate::new(requests, per_s, burst).map(Measure::Rate)
        }
        (None, Some(period)) => {
            if config.burst.is_some() {
                return Err(wrong(format!("{place}.burst"), "belongs to a rate (per_s)"));
            }
            let period = period
                .parse()
                .map_err(|error| wrong(format!("{place}.period"), error))?;
            Measure::quota(config.requests, period)
        }
        _ => {
            return Err(wrong(
                place,
                "needs per_s, for a rate, or period, for a quota; not both",
            ));
        }
    };
    measure.map_err(|error| wrong(place, error))
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use crate::node::NodeSettings;

    fn settings(more: &str) -> Result<NodeSettings, String> {
        let small = "data = \"/data\"\nlive.address = \"127.0.0.1:8080\"\ntest.address = \"127.0.0.1:8081\"\nadmin = { address = \"127.0.0.1:8082\", operators_file = \"o.toml\" }\n";
        Config::parse(&format!("{small}{more}"))
            .and_then(|config| config.settings())
            .map_err(|error| error.to_string())
    }

    const LIMITS: &str = "[[limit]]\nname = \"fast\"\nrequests = 100\nper_s = 1\nburst = 200\n[[limit]]\nname = \"all\"\nrequests = 5\nper_s = 60\nper = \"route\"\n";

    fn with_route(names: &str) -> String {
        format!(
            "{LIMITS}[[route]]\npath = \"/a\"\naudiences = [\"routes\"]\nschemes = [\"bearer\"]\nlimits = {names}\nupstream.live = \"http://127.0.0.1:1\"\n"
        )
    }

    #[test]
    fn routes_and_plans_take_limits_by_their_names() {
        let plans = "[[plan]]\nname = \"small\"\nlimits = [\"all\"]\n";
        let settings = settings(&(with_route("[\"fast\", \"all\"]") + plans)).expect("settings");
        let route = &settings.environments[0].surfaces.routes[0];
        let names: Vec<&str> = route
            .limits
            .iter()
            .map(|limit| limit.name.as_str())
            .collect();
        assert_eq!(names, ["fast", "all"]);
        assert_eq!(route.counted_as(), "/a");
        assert_eq!(settings.plans[0].limits, route.limits[1..]);
    }

    #[test]
    fn what_cannot_be_is_refused_by_its_place() {
        let limit = |more: &str| format!("[[limit]]\nname = \"a\"\n{more}\n");
        for (text, why) in [
            (with_route("[\"fats\"]"), "did you mean fast"),
            (with_route("[\"fast\", \"fast\"]"), "twice"),
            (limit("requests = 0\nper_s = 1"), "limit[0]: requests"),
            (limit("requests = 1\nper_s = 86400"), "quota"),
            (
                limit("requests = 1\nper_s = 1\nper = \"key\""),
                "limit[0].per",
            ),
            (limit("requests = 1"), "needs per_s"),
            (
                limit("requests = 1\nper_s = 1\nperiod = \"day\""),
                "not both",
            ),
            (limit("requests = 1\nperiod = \"week\""), "limit[0].period"),
            (
                limit("requests = 1\nburst = 2\nperiod = \"day\""),
                "limit[0].burst",
            ),
            (limit("requests = 0\nperiod = \"day\""), "quota"),
            (
                limit("requests = 1\nper_s = 1").repeat(2),
                "limit[1].name: is there twice",
            ),
            (
                "[[plan]]\nname = \"A\"\nlimits = []\n".to_owned(),
                "plan[0].name",
            ),
            (
                "[[plan]]\nname = \"a\"\nlimits = [\"b\"]\n".to_owned(),
                "plan[0].limits",
            ),
        ] {
            let refused = settings(&text).expect_err(why);
            assert!(refused.contains(why), "{refused}");
        }
    }
}
