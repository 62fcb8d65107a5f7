use serde::Deserialize;
use wayleave_web::BodyLimits;

/// `[limits]` of the file: how much of what a client may do.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LimitsConfig {
    /// 0: not counted.
    wrong_secrets_per_minute: u32,
    /// 0: any size.
    body_bytes: u64,
    /// 0: however slow.
    body_bytes_per_s: u32,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        let body = BodyLimits::default();
        LimitsConfig {
            wrong_secrets_per_minute: 10,
            body_bytes: body.bytes.unwrap_or_default(),
            body_bytes_per_s: body.bytes_per_s,
        }
    }
}

impl LimitsConfig {
    pub(super) fn wrong_secrets_per_minute(&self) -> Option<u32> {
        Some(self.wrong_secrets_per_minute).filter(|limit| *limit > 0)
    }

    pub(super) fn body(&self) -> BodyLimits {
        BodyLimits {
            bytes: Some(self.body_bytes).filter(|limit| *limit > 0),
            bytes_per_s: self.body_bytes_per_s,
            ..BodyLimits::default()
        }
    }
}
