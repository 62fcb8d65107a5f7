//! One connection to a server behind, driven by whoever waits for what comes on it.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{HeaderMap, Method, Response};
use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use crate::answer_head::HeadReader;
use crate::behind::Server;
use crate::connect::Wire;
use crate::framing::{Framing, Taken};
use crate::inbox::Inbox;
use crate::outbox::{BodyEnd, Outbox, SendError};
use crate::upload::Upload;

/// One connection. It has no task of its own: nothing happens on it but while somebody polls it.
pub(crate) struct Link<B: Body<Data = Bytes> + Unpin + 'static> {
    wire: Wire,
    outbox: Outbox<B>,
    inbox: Inbox,
    /// What is left of the answer, once its head was taken.
    framing: Framing,
    has_heard: bool,
    /// Whether it can carry another request after this one.
    keeps: bool,
    /// Why it takes no more of the request.
    write_fault: Option<WriteFault>,
    patience: Patience,
}

/// Why a request could not be written to its end.
struct WriteFault {
    cause: String,
    /// Whether nothing of it was.
    is_unsent: bool,
}

/// Why a request got no answer.
#[derive(Debug)]
pub(crate) enum Failed {
    /// The connection had ended before anything was written.
    Unsent,
    /// The connection ended before the answer. `has_heard`: after some bytes of it.
    Broken { has_heard: bool, cause: String },
    /// What came is no answer.
    Malformed(String),
    /// Nothing came in time.
    TimedOut,
}

/// How long an answer is waited for.
pub(crate) struct Wait<'a, B: Body, N: Fn() -> Instant> {
    /// Counted from the last piece of the request that was passed on. While the client's next piece
    /// is missing no time passes.
    pub(crate) timeout: Duration,
    pub(crate) upload: Option<&'a Upload<B>>,
    pub(crate) now: N,
}

impl<B: Body<Data = Bytes> + Unpin + 'static> Link<B> {
    /// Connects, within the given time. `now`: any moment of the present.
    pub(crate) async fn open(
        server: &Server,
        timeout: Duration,
        now: Instant,
    ) -> io::Result<Box<Self>> {
        let wire = match tokio::time::timeout(timeout, Wire::connect(server)).await {
            Ok(connected) => connected?,
            Err(_) => return Err(io::ErrorKind::TimedOut.into()),
        };
        Ok(Box::new(Link {
            wire,
            outbox: Outbox::new(),
            inbox: Inbox::default(),
            framing: Framing::Length(0),
            has_heard: false,
            keeps: true,
            write_fault: None,
            patience: Patience::new(now),
        }))
    }

    /// Whether another request can be sent on it. What comes unasked ends it.
    pub(crate) fn is_free(&mut self) -> bool {
        self.keeps = self.becomes_free() && self.wire.is_silent();
        self.keeps
    }

    /// The same right after an exchange.
    pub(crate) fn becomes_free(&mut self) -> bool {
        self.keeps && self.framing.is_done() && self.inbox.is_empty() && self.outbox.is_done()
    }

    /// Makes it ready for the next request.
    pub(crate) fn rest(&mut self) {
        self.inbox.shrink();
    }

    /// The connection itself and what was read ahead, after an answer that switched to another
    /// protocol.
    pub(crate) fn into_stream(mut self) -> (Wire, Bytes) {
        let early = self.inbox.take_up_to(u64::MAX);
        (self.wire, early)
    }

    /// What waits for the connection, with its timer.
    pub(crate) fn patience(&mut self) -> &mut Patience {
        &mut self.patience
    }

    /// Takes a request in, whose head is written by this. It goes out with [`Link::answer`].
    pub(crate) fn begin(
        &mut self,
        write_head: impl FnOnce(&mut Vec<u8>),
        body: Option<(Rc<Upload<B>>, BodyEnd)>,
    ) {
        self.has_heard = false;
        self.keeps = false;
        self.outbox.begin(write_head, body);
    }

    /// Sends the request and waits for the head of its answer. `method`: the request's; `spare`: gives
    /// its memory to the headers of the answer.
    pub(crate) async fn answer(
        &mut self,
        method: &Method,
        spare: &mut HeaderMap,
        wait: Wait<'_, B, impl Fn() -> Instant>,
    ) -> Result<Response<()>, Failed> {
        let mut until = (wait.now)() + wait.timeout;
        let mut reader = HeadReader::default();
        std::future::poll_fn(|cx| {
            let answered = self.poll_answer(cx, method, spare, &mut reader);
            if answered.is_ready() {
                return answered;
            }
            if let Some(upload) = wait.upload {
                if upload.has_moved() || upload.waits_for_client() {
                    until = (wait.now)() + wait.timeout;
                }
                if upload.waits_for_client() {
                    return Poll::Pending;
                }
            }
            match self.patience.is_over(cx, until) {
                true => Poll::Ready(Err(Failed::TimedOut)),
                false => Poll::Pending,
            }
        })
        .await
    }

    fn poll_answer(
        &mut self,
        cx: &mut Context<'_>,
        method: &Method,
        spare: &mut HeaderMap,
        reader: &mut HeadReader,
    ) -> Poll<Result<Response<()>, Failed>> {
        if let Poll::Ready(Err(cause)) = self.poll_send(cx) {
            return Poll::Ready(Err(self.broken(cause)));
        }
        if self
            .write_fault
            .as_ref()
            .is_some_and(|fault| fault.is_unsent)
        {
            return Poll::Ready(Err(Failed::Unsent));
        }
        loop {
            let head = reader.take(&mut self.inbox, method, spare);
            if let Some(head) = head.map_err(Failed::Malformed)? {
                self.framing = head.framing;
                self.keeps = head.keeps_connection && self.write_fault.is_none();
                return Poll::Ready(Ok(head.answer));
            }
            match ready!(self.inbox.poll_fill(cx, &mut self.wire)) {
                Ok(1..) => self.has_heard = true,
                Ok(0) => {
                    let cause = "the connection ended".to_owned();
                    return Poll::Ready(Err(self.broken(cause)));
                }
                Err(error) => return Poll::Ready(Err(self.broken(error.to_string()))),
            }
        }
    }

    /// Why nothing comes: that nothing could be written explains more than that nothing came.
    fn broken(&mut self, cause: String) -> Failed {
        Failed::Broken {
            has_heard: self.has_heard,
            cause: self.write_fault.take().map_or(cause, |fault| fault.cause),
        }
    }

    /// Sends what is left of the request. A server that takes no more may have answered all the same,
    /// so that this is an end of it and no error. Errors: the body of the request failed, so that
    /// nobody may take it for whole.
    pub(crate) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), String>> {
        if self.outbox.is_done() {
            return Poll::Ready(Ok(()));
        }
        match ready!(self.outbox.poll_write(cx, &mut self.wire)) {
            Ok(()) => Poll::Ready(Ok(())),
            Err(error) => {
                let is_unsent = self.outbox.is_unsent();
                self.keeps = false;
                self.outbox.give_up();
                Poll::Ready(match error {
                    SendError::Body => Err("the body of the request failed".to_owned()),
                    SendError::Wire(error) => {
                        let cause = error.to_string();
                        self.write_fault = Some(WriteFault { cause, is_unsent });
                        Ok(())
                    }
                })
            }
        }
    }

    /// The next piece of the answer; `None`: there is none. Errors: the answer is broken.
    pub(crate) fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, String>>> {
        loop {
            match self.framing.take(&mut self.inbox) {
                Ok(Taken::Piece(piece)) => return Poll::Ready(Some(Ok(Frame::data(piece)))),
                Ok(Taken::Trailers(trailers)) => {
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                }
                Ok(Taken::End) => return Poll::Ready(None),
                Ok(Taken::Missing) => {}
                Err(cause) => return Poll::Ready(Some(Err(cause))),
            }
            match ready!(self.inbox.poll_fill(cx, &mut self.wire)) {
                Ok(1..) => {}
                Ok(0) => {
                    if let Err(cause) = self.framing.connection_ended() {
                        return Poll::Ready(Some(Err(cause)));
                    }
                }
                Err(error) => return Poll::Ready(Some(Err(error.to_string()))),
            }
        }
    }

    /// All that is left of the answer, where its length is known and all of it is there.
    pub(crate) fn take_rest(&mut self) -> Option<Bytes> {
        match self.framing {
            Framing::Length(left) if self.inbox.bytes().len() as u64 >= left => {
                self.framing = Framing::Length(0);
                Some(self.inbox.take_up_to(left))
            }
            _ => None,
        }
    }

    /// Whether all of the answer was taken.
    pub(crate) fn is_answered(&self) -> bool {
        self.framing.is_done()
    }

    /// How much of the answer is left, as far as that is known.
    pub(crate) fn size_hint(&self) -> SizeHint {
        self.framing.size_hint()
    }
}

/// A timer that is set anew only when it runs out too early or would run out too late: at the usual
/// pace of requests once in many, where a timer for each of them would cost more than what it is for.
pub(crate) struct Patience(Pin<Box<Sleep>>);

impl Patience {
    /// One that has run out.
    pub(crate) fn new(now: Instant) -> Self {
        Patience(Box::pin(tokio::time::sleep_until(now)))
    }

    /// Whether that moment has come; else the task is woken when it has.
    pub(crate) fn is_over(&mut self, cx: &mut Context<'_>, until: Instant) -> bool {
        if until < self.0.deadline() {
            self.0.as_mut().reset(until);
        }
        while self.0.as_mut().poll(cx).is_ready() {
            if until <= self.0.deadline() {
                return true;
            }
            self.0.as_mut().reset(until);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// A body that comes in one piece, as soon as it may.
    struct Later(Rc<Cell<bool>>, Option<Bytes>);

    impl Body for Later {
        type Data = Bytes;
        type Error = ();

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, ()>>> {
            match self.0.get() {
                true => Poll::Ready(self.1.take().map(Frame::data).map(Ok)),
                false => Poll::Pending,
            }
        }
    }

    fn now() -> Instant {
        tokio::time::sleep(Duration::ZERO).deadline()
    }

    /// A link to a server that does this.
    async fn link_to(
        script: impl FnOnce(TcpStream) + Send + 'static,
    ) -> (Box<Link<Later>>, std::thread::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("an address");
        let address = listener.local_addr().expect("an address");
        let server = std::thread::spawn(move || script(listener.accept().expect("a caller").0));
        let upstream = format!("http://{address}").parse().expect("an upstream");
        let behind = Server::new(upstream, None).expect("a server");
        let link = Link::open(&behind, Duration::from_secs(5), now()).await;
        (link.expect("a connection"), server)
    }

    fn in_runtime(test: impl Future<Output = ()>) {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().build();
        runtime.expect("a runtime").block_on(test);
    }

    async fn answer_of(
        link: &mut Link<Later>,
        method: &Method,
        upload: Option<&Upload<Later>>,
    ) -> Result<Response<()>, Failed> {
        let wait = Wait {
            timeout: Duration::from_secs(5),
            upload,
            now,
        };
        link.answer(method, &mut HeaderMap::new(), wait).await
    }

    #[test]
    fn a_server_that_answers_and_takes_no_more_is_heard() {
        in_runtime(async {
            let (mut link, server) = link_to(|mut caller| {
                // What is left unread makes the end of the connection a reset.
                let _ = caller.read(&mut [0; 4]);
                let _ = caller.write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig");
            })
            .await;
            let may_come = Rc::new(Cell::new(false));
            let piece = Bytes::from(vec![b'x'; 10_000]);
            let upload = Upload::new(Later(may_come.clone(), Some(piece)));
            link.begin(
                |head| head.extend_from_slice(b"POST / HTTP/1.1\r\n\r\n"),
                Some((upload.clone(), BodyEnd::Length(10_000))),
            );
            let _ = std::future::poll_fn(|cx| Poll::Ready(link.poll_send(cx))).await;
            server.join().expect("an answer");
            may_come.set(true);
            let answer = answer_of(&mut link, &Method::POST, Some(&upload)).await;
            let answer = answer.expect("an answer");
            assert_eq!(answer.status(), 413);
            assert!(link.write_fault.is_some(), "the body met a reset");
            assert_eq!(link.take_rest().as_deref(), Some(&b"big"[..]));
            assert!(!link.becomes_free());
        });
    }

    #[test]
    fn what_comes_unasked_ends_a_connection_that_nobody_uses() {
        for unasked in [&b"HTTP/1.1 408 Request Timeout\r\n\r\n"[..], b""] {
            in_runtime(async {
                let (ask, asked) = std::sync::mpsc::channel();
                let (mut link, server) = link_to(move |mut caller| {
                    let _ = caller.read(&mut [0; 100]);
                    let _ = caller.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
                    asked.recv().expect("the next step");
                    let _ = caller.write_all(unasked);
                })
                .await;
                link.begin(
                    |head| head.extend_from_slice(b"GET / HTTP/1.1\r\n\r\n"),
                    None,
                );
                answer_of(&mut link, &Method::GET, None)
                    .await
                    .expect("an answer");
                assert_eq!(link.take_rest().as_deref(), Some(&b"ok"[..]));
                assert!(link.becomes_free() && link.is_free() && link.is_free());
                ask.send(()).expect("a server");
                server.join().expect("an end");
                tokio::time::sleep(Duration::from_millis(50)).await;
                assert!(!link.is_free());
                assert!(!link.becomes_free(), "never again");
            });
        }
    }

    #[test]
    fn nothing_is_sent_on_a_connection_that_has_ended() {
        in_runtime(async {
            let (mut link, server) = link_to(drop).await;
            server.join().expect("an end");
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert!(!link.is_free());
            link.begin(
                |head| head.extend_from_slice(b"GET / HTTP/1.1\r\n\r\n"),
                None,
            );
            let answer = answer_of(&mut link, &Method::GET, None).await;
            let failed = answer.expect_err("no answer");
            assert!(
                matches!(
                    failed,
                    Failed::Unsent
                        | Failed::Broken {
                            has_heard: false,
                            ..
                        }
                ),
                "{failed:?}"
            );
        });
    }
}
