use serde::Deserialize;
use wayleave_core::{Crawler, CrawlerDomain, Crawlers, IpRange, check_limit_name};

use super::{ConfigError, wrong};

/// A crawler that properties may let in.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CrawlerConfig {
    name: String,
    /// Where its operator says that it comes from.
    #[serde(default)]
    ranges: Vec<String>,
    /// In which domains its operator says that the names of its addresses are.
    #[serde(default)]
    domains: Vec<String>,
}

/// The crawlers, with every range read.
pub(super) fn crawlers(configs: &[CrawlerConfig]) -> Result<Crawlers, ConfigError> {
    let read = configs.iter().map(CrawlerConfig::crawler);
    read.collect::<Result<_, _>>().map(Crawlers::new)
}

impl CrawlerConfig {
    fn crawler(&self) -> Result<Crawler, ConfigError> {
        let place = format!("crawler.{}", self.name);
        check_limit_name(&self.name).map_err(|error| wrong(place.clone(), error))?;
        let range = |text: &String| {
            let range = text.parse::<IpRange>();
            range.map_err(|error| wrong(format!("{place}.ranges"), format!("{text}: {error}")))
        };
        let domain = |text: &String| {
            let domain = text.parse::<CrawlerDomain>();
            domain.map_err(|error| wrong(format!("{place}.domains"), format!("{text}: {error}")))
        };
        if self.ranges.is_empty() && self.domains.is_empty() {
            return Err(wrong(
                place,
                "say where it comes from: ranges, domains or both",
            ));
        }
        Ok(Crawler {
            name: self.name.clone(),
            ranges: self.ranges.iter().map(range).collect::<Result<_, _>>()?,
            domains: self.domains.iter().map(domain).collect::<Result<_, _>>()?,
        })
    }
}
