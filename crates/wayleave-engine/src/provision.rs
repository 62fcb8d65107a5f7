//! What makes hosted instances, as a port; and the one that pretends.

use std::collections::BTreeSet;
use std::str::FromStr;
use std::time::Duration;

use parking_lot::Mutex;
use wayleave_core::UnknownWord;
use wayleave_store::BoxFuture;

/// How long the driver that pretends to be slow takes.
const SLOW: Duration = Duration::from_secs(20);

/// An instance as a driver is to make it. Asked twice with the same key a driver makes it once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InstanceOrder {
    /// Of the line that asks for it: the same line has the same key for ever.
    pub key: String,
    /// The host label.
    pub account_name: String,
    /// How many displays it may serve.
    pub displays: u32,
}

/// Why a driver did not do what it was asked.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProvisionError {
    /// It may work later; nothing is known to have happened.
    #[error("not now: {0}")]
    NotNow(String),
    /// It will never work.
    #[error("{0}")]
    Never(String),
}

/// Makes, changes and removes hosted instances.
pub trait Provisioner: Send + Sync {
    /// Makes one, or changes the one of this name.
    fn provide<'a>(&'a self, order: &'a InstanceOrder)
    -> BoxFuture<'a, Result<(), ProvisionError>>;

    /// Gives the one of this name another version of the catalogue, by its number.
    fn upgrade<'a>(
        &'a self,
        account_name: &'a str,
        version: u32,
    ) -> BoxFuture<'a, Result<(), ProvisionError>>;

    /// Removes one; one that is not there is no error.
    fn remove<'a>(&'a self, account_name: &'a str) -> BoxFuture<'a, Result<(), ProvisionError>>;
}

/// How the driver that pretends behaves.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Pretence {
    /// It does what it is asked at once.
    #[default]
    Well,
    /// It takes long.
    Slow,
    /// It is away.
    Away,
    /// It says that it will never work.
    Never,
}

impl Pretence {
    /// The shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Pretence::Well => "well",
            Pretence::Slow => "slow",
            Pretence::Away => "away",
            Pretence::Never => "never",
        }
    }
}

impl FromStr for Pretence {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "well" => Ok(Pretence::Well),
            "slow" => Ok(Pretence::Slow),
            "away" => Ok(Pretence::Away),
            "never" => Ok(Pretence::Never),
            _ => Err(UnknownWord {
                noun: "behaviour",
                known: "well, slow, away, never",
            }),
        }
    }
}

/// A driver that makes nothing, and remembers what is there.
#[derive(Default)]
pub struct PretendProvisioner {
    pretence: Mutex<Pretence>,
    there: Mutex<BTreeSet<String>>,
}

impl PretendProvisioner {
    /// Tells it how to behave from now on.
    pub fn behave(&self, pretence: Pretence) {
        *self.pretence.lock() = pretence;
    }

    /// How it behaves.
    pub fn pretence(&self) -> Pretence {
        *self.pretence.lock()
    }

    /// The names of what is there.
    pub fn there(&self) -> Vec<String> {
        self.there.lock().iter().cloned().collect()
    }

    async fn obey(&self) -> Result<(), ProvisionError> {
        let pretence = *self.pretence.lock();
        match pretence {
            Pretence::Well => Ok(()),
            Pretence::Slow => {
                tokio::time::sleep(SLOW).await;
                Ok(())
            }
            Pretence::Away => Err(ProvisionError::NotNow("it pretends to be away".to_owned())),
            Pretence::Never => Err(ProvisionError::Never(
                "it pretends that this cannot be made".to_owned(),
            )),
        }
    }
}

impl Provisioner for PretendProvisioner {
    fn provide<'a>(
        &'a self,
        order: &'a InstanceOrder,
    ) -> BoxFuture<'a, Result<(), ProvisionError>> {
        Box::pin(async move {
            self.obey().await?;
            self.there.lock().insert(order.account_name.to_lowercase());
            Ok(())
        })
    }

    fn upgrade<'a>(&'a self, _: &'a str, _: u32) -> BoxFuture<'a, Result<(), ProvisionError>> {
        Box::pin(self.obey())
    }

    fn remove<'a>(&'a self, account_name: &'a str) -> BoxFuture<'a, Result<(), ProvisionError>> {
        Box::pin(async move {
            self.there.lock().remove(&account_name.to_lowercase());
            Ok(())
        })
    }
}
