use http::request::Parts;
use hyper::body::{Body, Incoming};
use wayleave_engine::UsageKind;

use super::{ClientSide, Place, Served, Surfaces, tidy};
use crate::dialect::platform;
use crate::evidence;
use crate::fault::Fault;
use crate::target::Target;

impl Surfaces {
    /// Proves a request for the platform API, admits its caller and answers it.
    pub(super) async fn platform(
        &self,
        target: Target<'_>,
        parts: &Parts,
        body: Incoming,
        client: ClientSide<'_>,
        request_id: &str,
    ) -> Result<Served<'_>, Fault> {
        let place = Place::Platform;
        let fields = evidence::signed_fields(&parts.headers, false);
        let paths = [target.path];
        let evidence = evidence::collect(
            evidence::Asked {
                described: None,
                refuses_replays: false,
                method: parts.method.as_str(),
                scheme: client.scheme,
                authority: client.authority,
                path: target.whole,
                paths: &paths,
                query: target.query,
                headers: &parts.headers,
                has_body: !body.is_end_stream(),
            },
            &fields,
        )?;
        let proven = self.prove(&evidence).await;
        let (caller, _) = self.accept(&place, &evidence, proven).await?;
        let request_bytes = body.size_hint().exact().unwrap_or(0);
        let entered = self.enter(&place, caller, UsageKind::Proxied, request_bytes);
        let (admitted, passage) = entered.await?;
        let path = self.settings.platform.as_ref();
        let path = path.and_then(|mount| mount.strip(target.host, target.path));
        let path = tidy(path.unwrap_or(target.path));
        let asked = platform::Asked {
            engine: &self.engine,
            admitted: &admitted,
            parts,
            path: &path,
            request_id,
        };
        match platform::answer(asked, body).await {
            Ok(mut answer) => {
                passage.end(&mut answer);
                Ok(Served::Answer(answer))
            }
            Err(fault) => {
                passage.refused(fault.status());
                Err(fault)
            }
        }
    }
}
