use serde_json::{Value, json};
use wayleave_core::{MailId, PartnerId};
use wayleave_engine::Mail;

use super::reading::{Page, page_answer};
use super::{Desk, fault, time};
use crate::answer::Answer;
use crate::fault::Fault;

impl Desk<'_> {
    /// What is in the pretended mailbox.
    pub(super) async fn mail(&self, page: &mut Page) -> Result<Answer, Fault> {
        let partner = page.parsed::<PartnerId>("partner")?;
        let (after, limit) = (page.parsed::<MailId>("after")?, page.limit()?);
        let found = self
            .engine
            .store()
            .read(move |reader| Box::pin(reader.mail_after(partner, after, limit + 1)));
        let found = found.await.map_err(|error| fault(error.into()))?;
        Ok(page_answer(&found, limit, body))
    }
}

fn body(mail: &Mail) -> Value {
    json!({
        "id": mail.id.to_string(),
        "partner": mail.partner_id.to_string(),
        "recipient": mail.recipient,
        "subject": mail.subject,
        "body": mail.body,
        "created_at": time(mail.created_at),
    })
}
