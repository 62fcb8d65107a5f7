//! What the frames of an HTTP/2 client cost us (RFC 9113), counted beside the parser that serves
//! them: a client that sends many frames and asks for nothing is cut off.

/// What every client begins with on an HTTP/2 connection (RFC 9113 section 3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const HEADER_BYTES: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;

/// Frames that ask for nothing, for which there is credit at first and after each interval.
const CREDIT: u32 = 10_000;
/// Streams that may be reset by the client, at first and after each interval.
const RESETS: u32 = 1_000;
/// Frames that a request earns: its data, its trailers, a window update.
const CREDIT_OF_REQUEST: u32 = 4;
/// What can be saved up.
const MOST_CREDIT: u32 = 4 * CREDIT;
/// Bytes in either direction that earn one more frame: clients answer data with window updates.
const BYTES_PER_CREDIT: u64 = 4 * 1024;

/// A client that sends frames only to keep us busy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flood;

/// Follows the frames of one client.
#[derive(Debug)]
pub struct Frames {
    /// What is left of the preface.
    preface: usize,
    header: [u8; HEADER_BYTES],
    /// How much of the next header is there.
    filled: usize,
    /// What is left of the payload.
    payload: usize,
    credit: u32,
    resets: u32,
    /// Bytes that have not earned a frame yet.
    earning: u64,
}

impl Default for Frames {
    fn default() -> Self {
        Frames {
            preface: PREFACE.len(),
            header: [0; HEADER_BYTES],
            filled: 0,
            payload: 0,
            credit: CREDIT,
            resets: RESETS,
            earning: 0,
        }
    }
}

impl Frames {
    /// A new interval has begun.
    pub fn renew(&mut self) {
        self.credit = self.credit.max(CREDIT);
        self.resets = RESETS;
    }

    /// Bytes of answers went out.
    pub fn sent(&mut self, bytes: usize) {
        self.earn(bytes as u64);
    }

    fn earn(&mut self, bytes: u64) {
        self.earning += bytes;
        let credit = u32::try_from(self.earning / BYTES_PER_CREDIT).unwrap_or(u32::MAX);
        self.earning %= BYTES_PER_CREDIT;
        self.credit = self.credit.saturating_add(credit).min(MOST_CREDIT);
    }

    /// Follows the next bytes of the client.
    pub fn follow(&mut self, mut bytes: &[u8]) -> Result<(), Flood> {
        while !bytes.is_empty() {
            let skipped = if self.preface > 0 {
                let skipped = self.preface.min(bytes.len());
                self.preface -= skipped;
                skipped
            } else if self.payload > 0 {
                let skipped = self.payload.min(bytes.len());
                self.payload -= skipped;
                skipped
            } else {
                self.fill_header(bytes)?
            };
            bytes = &bytes[skipped..];
        }
        Ok(())
    }

    fn fill_header(&mut self, bytes: &[u8]) -> Result<usize, Flood> {
        let count = (HEADER_BYTES - self.filled).min(bytes.len());
        self.header[self.filled..self.filled + count].copy_from_slice(&bytes[..count]);
        self.filled += count;
        if self.filled == HEADER_BYTES {
            self.filled = 0;
            self.frame()?;
        }
        Ok(count)
    }

    fn frame(&mut self) -> Result<(), Flood> {
        let [high, middle, low, kind, ..] = self.header;
        self.payload = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        match kind {
            // A request is what we are here for; how many there may be at once is bounded.
            HEADERS => {
                self.credit = self
                    .credit
                    .saturating_add(CREDIT_OF_REQUEST)
                    .min(MOST_CREDIT);
                return Ok(());
            }
            DATA if self.payload > 0 => self.earn(self.payload as u64),
            RST_STREAM => self.resets = self.resets.checked_sub(1).ok_or(Flood)?,
            _ => {}
        }
        self.credit = self.credit.checked_sub(1).ok_or(Flood)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).expect("a short payload");
        let mut frame = vec![0, 0, length, kind, 0, 0, 0, 0, 1];
        frame.extend_from_slice(payload);
        frame
    }

    fn begun() -> Frames {
        let mut frames = Frames::default();
        frames.follow(PREFACE).expect("a preface");
        frames
    }

    /// How many such frames pass on a new connection.
    fn passing(frame: &[u8]) -> usize {
        let mut frames = begun();
        let passes = std::iter::from_fn(|| frames.follow(frame).ok());
        passes.take(100_000).count()
    }

    #[test]
    fn requests_pass_and_frames_that_ask_for_nothing_run_out() {
        assert_eq!(passing(&frame(HEADERS, b"x")), 100_000);
        for kind in [DATA, 2, 4, 6, 8, 9, 200] {
            assert_eq!(passing(&frame(kind, b"")), CREDIT as usize, "{kind}");
        }
        assert_eq!(passing(&frame(RST_STREAM, b"0000")), RESETS as usize);
    }

    #[test]
    fn data_and_answers_earn_frames_and_time_renews_them() {
        let mut frames = begun();
        for _ in 0..CREDIT {
            frames.follow(&frame(8, b"0000")).expect("credit");
        }
        assert_eq!(frames.follow(&frame(8, b"0000")), Err(Flood));
        frames.sent(4 * 1024);
        assert_eq!(frames.follow(&frame(8, b"0000")), Ok(()));
        assert_eq!(frames.follow(&frame(8, b"0000")), Err(Flood));
        frames.renew();
        assert_eq!(frames.follow(&frame(8, b"0000")), Ok(()));
        let mut frames = begun();
        for _ in 0..2 * CREDIT {
            frames.sent(4 * 1024);
            frames.follow(&frame(8, b"0000")).expect("earned");
        }
    }

    #[test]
    fn frames_are_followed_however_they_are_cut() {
        let mut bytes = PREFACE.to_vec();
        bytes.extend(frame(4, b"012345"));
        bytes.extend(frame(RST_STREAM, b"0123"));
        bytes.extend(frame(HEADERS, b"0123456789"));
        for size in 1..bytes.len() {
            let mut frames = Frames::default();
            for piece in bytes.chunks(size) {
                frames.follow(piece).expect("no flood");
            }
            assert_eq!((frames.credit, frames.resets), (CREDIT + 2, RESETS - 1));
            assert_eq!((frames.filled, frames.payload), (0, 0), "cut at {size}");
        }
    }
}
