use wayleave_core::{MailId, PartnerId, Timestamp};

use crate::{Reader, StoreError, Transaction};

/// A message in the pretended mailbox.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mail {
    /// Its id.
    pub id: MailId,
    /// The partner whom it concerns.
    pub partner_id: PartnerId,
    /// To whom it goes.
    pub recipient: String,
    /// What it is about.
    pub subject: String,
    /// Plain text.
    pub body: String,
    /// When it was sent.
    pub created_at: Timestamp,
}

type Row = (String, String, String, String, String, i64);

fn from_row(
    (id, partner_id, recipient, subject, body, created_at): Row,
) -> Result<Mail, StoreError> {
    Ok(Mail {
        id: StoreError::read("mail", &id)?,
        partner_id: StoreError::read("mail", &partner_id)?,
        recipient,
        subject,
        body,
        created_at: Timestamp::from_micros(created_at),
    })
}

impl Reader {
    /// A page of messages in the order of their ids, after one; of one partner, or all.
    pub async fn mail_after(
        &mut self,
        partner: Option<PartnerId>,
        after: Option<MailId>,
        limit: i64,
    ) -> Result<Vec<Mail>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            "SELECT id, partner_id, recipient, subject, body, created_at FROM mail
             WHERE id > $1 AND ($2 = '' OR partner_id = $2) ORDER BY id LIMIT $3",
            after.map(|id| id.to_string()).unwrap_or_default(),
            partner.map(|id| id.to_string()).unwrap_or_default(),
            limit
        )?;
        rows.into_iter().map(from_row).collect()
    }
}

impl Transaction {
    /// Puts a message into the mailbox.
    pub async fn add_mail(&mut self, mail: &Mail) -> Result<(), StoreError> {
        execute!(
            self.link(),
            "INSERT INTO mail (id, partner_id, recipient, subject, body, created_at)
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO NOTHING",
            mail.id.to_string(),
            mail.partner_id.to_string(),
            &mail.recipient,
            &mail.subject,
            &mail.body,
            mail.created_at.micros()
        )
        .map(drop)
    }
}
