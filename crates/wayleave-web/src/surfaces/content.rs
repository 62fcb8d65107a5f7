use http::request::Parts;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::{ClientSide, Place, Served, Surfaces};
use crate::body::BodyLimits;
use crate::dialect::content;
use crate::fault::Fault;
use crate::target::Target;

impl Surfaces {
    /// Proves a request for the content APIs, admits its caller and answers it.
    pub(super) async fn content(
        &self,
        (place, path): (&Place<'_, '_>, content::ContentPath<'_>),
        target: Target<'_>,
        parts: &Parts,
        body: Incoming,
        client: ClientSide<'_>,
    ) -> Result<Served<'_>, Fault> {
        let limits = BodyLimits {
            bytes: Some(path.body_limit_bytes() as u64),
            ..self.body_limits(place)
        };
        let entered = self.prove_and_enter(place, target, parts, (body, limits), client);
        let entered = entered.await?;
        let answered = async {
            let body = entered.body.collect().await.map_err(Fault::from)?;
            let asked = content::Asked {
                engine: &self.engine,
                admitted: &entered.admitted,
                parts,
                path,
                body: body.to_bytes(),
            };
            content::answer(asked).await
        };
        match answered.await {
            Ok(mut answer) => {
                entered.passage.end(&mut answer);
                Ok(Served::Answer(answer))
            }
            Err(fault) => {
                entered.passage.refused(fault.status());
                Err(fault)
            }
        }
    }
}
