//! Where the data of an environment is, for the commands that work without a server.

use std::path::PathBuf;

use clap::Args;
use wayleave_core::Environment;
use wayleave_engine::Database;

use crate::config::{Config, ConfigError, default_master_key};
use crate::node::NodeSettings;

/// A node by its configuration file, or by the folder of a demonstration.
#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = false)]
pub(crate) struct PlaceArgs {
    /// The configuration file of the node.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The data folder of a demonstration with SQLite files.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
}

/// One environment of a node.
#[derive(Args, Clone, Debug)]
pub(crate) struct EnvironmentArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// Which environment: live or test.
    #[arg(long = "env", value_name = "live|test")]
    pub(crate) environment: Environment,
}

/// Where an environment's data and master keys are.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) environment: Environment,
    pub(crate) database: Database,
    pub(crate) master_key: PathBuf,
}

impl PlaceArgs {
    /// The settings of the node; `None` for a demonstration's folder.
    pub(crate) fn settings(&self) -> Result<Option<(Config, NodeSettings)>, ConfigError> {
        let Some(path) = &self.config else {
            return Ok(None);
        };
        let config = Config::read(path)?;
        let settings = config.settings()?;
        Ok(Some((config, settings)))
    }

    /// Both environments.
    pub(crate) fn places(&self) -> Result<Vec<Place>, ConfigError> {
        if let Some((_, settings)) = self.settings()? {
            return Ok(places_of(&settings));
        }
        let data = self.data.clone().unwrap_or_default();
        let place = |environment: Environment| Place {
            environment,
            database: Database::Sqlite(data.join(format!("{environment}.db"))),
            master_key: data.join(default_master_key(environment)),
        };
        Ok(Environment::ALL.into_iter().map(place).collect())
    }

    /// The arguments as they were given, to be repeated in a message.
    pub(crate) fn given(&self) -> String {
        match (&self.config, &self.data) {
            (Some(config), _) => format!("--config {}", config.display()),
            (None, Some(data)) => format!("--data {}", data.display()),
            (None, None) => String::new(),
        }
    }
}

/// Both environments of a node.
pub(crate) fn places_of(settings: &NodeSettings) -> Vec<Place> {
    let place = |environment: &crate::node::EnvironmentSettings| Place {
        environment: environment.environment,
        database: environment.database.clone(),
        master_key: environment.master_key.clone(),
    };
    settings.environments.iter().map(place).collect()
}

impl EnvironmentArgs {
    /// Where that environment's data is.
    pub(crate) fn place(&self) -> Result<Place, ConfigError> {
        let mut places = self.place.places()?;
        places.retain(|place| place.environment == self.environment);
        Ok(places.swap_remove(0))
    }

    /// The arguments as they were given, to be repeated in a message.
    pub(crate) fn given(&self) -> String {
        format!("{} --env {}", self.place.given(), self.environment)
    }
}
