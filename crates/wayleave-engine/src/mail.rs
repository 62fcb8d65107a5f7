//! Mail about orders: jobs in the outbox, delivered into the pretended mailbox.

use wayleave_core::{MailId, Timestamp};
use wayleave_store::{Job, Mail, Order};

use crate::Refusal;
use crate::engine::Engine;
use crate::job::{Attempt, JobKind};
use crate::ports::random;

impl Engine {
    /// The mail that tells a partner about an order, as a job in the outbox.
    pub(crate) fn mail_job(
        &self,
        order: &Order,
        recipient: &str,
        subject: String,
        body: String,
    ) -> Job {
        let now = self.now();
        let id = MailId::new(now, random(&*self.randomness));
        let payload = serde_json::json!({
            "recipient": recipient,
            "subject": subject,
            "body": body,
        });
        Job {
            payload: payload.to_string(),
            ..self.job(JobKind::Mail, order.partner_id, id, now)
        }
    }

    /// Delivers mail: into the pretended mailbox.
    pub(crate) async fn send_mail(&self, job: &Job) -> Result<Attempt, Refusal> {
        let Some(mail) = read_mail(job, self.now()) else {
            return Ok(Attempt::GivenUp("this is no mail".to_owned()));
        };
        self.store
            .write(self.now(), move |transaction| {
                Box::pin(async move { transaction.add_mail(&mail).await })
            })
            .await?;
        Ok(Attempt::Done)
    }
}

fn read_mail(job: &Job, now: Timestamp) -> Option<Mail> {
    let payload: serde_json::Value = serde_json::from_str(&job.payload).ok()?;
    let member = |name: &str| payload.get(name)?.as_str().map(str::to_owned);
    Some(Mail {
        id: job.object.parse().ok()?,
        partner_id: job.partner_id,
        recipient: member("recipient")?,
        subject: member("subject")?,
        body: member("body")?,
        created_at: now,
    })
}
