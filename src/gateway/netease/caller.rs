//! How a request gets there: signed anew each time, to the first host that can be reached.
//!
//! Knows: headers, hosts, the provider's clock. Must never know: what is asked or answered.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicI64, AtomicUsize, Ordering},
};

use jiff::{SignedDuration, Timestamp, fmt::rfc2822};

use super::signer::Signer;
use crate::{
    clock::Clock,
    gateway::{
        reached::Reached,
        scrub::MASK,
        transport::{Header, Post, RawAnswer, Transport, TransportFault},
    },
    run::{
        provider_clock::{NO_CLOCK, ProviderClock},
        reply::{Answer, Cause, Reply},
    },
};

/// How long hosts are tried one after the other: a request does not leave long after its intent.
const PATIENCE: SignedDuration = SignedDuration::from_secs(4);
/// A clock that is this much off has changed; below it, what is wrong is something else.
const OFFSET_CHANGE: SignedDuration = SignedDuration::from_secs(30);

/// A header that the settings add to every request.
#[derive(Debug, Clone)]
pub struct ExtraHeader {
    pub name: String,
    pub value: secrecy::SecretString,
    /// Whether it may be shown.
    pub secret: bool,
}

/// What carries our requests to a provider.
pub struct Caller {
    /// None where requests are not signed.
    signer: Option<Signer>,
    extra: Vec<ExtraHeader>,
    /// At least one.
    hosts: Vec<Arc<dyn Transport>>,
    /// The host that is tried first: the last one that could be reached.
    first: AtomicUsize,
    clock: Arc<dyn Clock>,
    /// The provider's clock minus ours, in milliseconds.
    offset_ms: AtomicI64,
    /// When that was learnt, by our clock in milliseconds; before everything: it was never learnt.
    offset_since_ms: AtomicI64,
    /// Up to when, by its present clock in milliseconds, it has given times before: it was ahead then, and what it
    /// takes until then gets the times of others.
    ahead_until_ms: AtomicI64,
    reached: Reached,
}

impl Caller {
    pub fn new(
        signer: Option<Signer>,
        extra: Vec<ExtraHeader>,
        hosts: Vec<Arc<dyn Transport>>,
        clock: Arc<dyn Clock>,
    ) -> Caller {
        let (offset_ms, offset_since_ms) = (AtomicI64::new(0), AtomicI64::new(i64::MIN));
        let ahead_until_ms = AtomicI64::new(i64::MIN);
        Caller {
            signer,
            extra,
            hosts,
            first: AtomicUsize::new(0),
            clock,
            offset_ms,
            offset_since_ms,
            ahead_until_ms,
            reached: Reached::default(),
        }
    }

    /// Posts the body once. Another host is tried only when no connection was made, so not a byte has
    /// left; each gets a signature of its own, which the provider takes for this long from now and no longer.
    /// `written_to` learns which host it came to. Where it knows one already, there is no other: what one
    /// remembers, another may not.
    pub async fn post(
        &self,
        path: &str,
        content_type: &str,
        body: &[u8],
        request_id: Option<&str>,
        heard_within: SignedDuration,
        written_to: &OnceLock<usize>,
    ) -> Result<RawAnswer, TransportFault> {
        let begun = self.clock.steady();
        let (first, hosts) = match written_to.get() {
            Some(place) => (*place, 1),
            None => (self.first.load(Ordering::Relaxed), self.hosts.len()),
        };
        let mut unreachable = TransportFault::NeverConnected("there is no host".to_owned());
        for turn in 0..hosts {
            let place = (first + turn) % self.hosts.len();
            let Some(host) = self.hosts.get(place) else { break };
            let left = heard_within - self.clock.steady().duration_since(begun);
            match self.post_to(host.as_ref(), path, content_type, body, request_id, left).await {
                Err(fault @ TransportFault::NeverConnected(_)) => {
                    self.first.store((place + 1) % self.hosts.len(), Ordering::Relaxed);
                    unreachable = fault;
                }
                other => {
                    self.first.store(place, Ordering::Relaxed);
                    written_to.get_or_init(|| place);
                    return other;
                }
            }
            if self.clock.steady().duration_since(begun) > PATIENCE {
                break;
            }
        }
        Err(unreachable)
    }

    async fn post_to(
        &self,
        host: &dyn Transport,
        path: &str,
        content_type: &str,
        body: &[u8],
        request_id: Option<&str>,
        heard_within: SignedDuration,
    ) -> Result<RawAnswer, TransportFault> {
        use secrecy::ExposeSecret;
        let signature =
            self.signer.as_ref().map(|signer| (signer, signer.sign(self.provider_now(), heard_within)));
        let mut headers = Vec::new();
        if let Some((signer, signature)) = &signature {
            headers.extend([
                Header::open("AppKey", &signer.app_key),
                Header::secret("Nonce", &signature.nonce),
                Header::secret("CurTime", &signature.cur_time),
                Header::secret("CheckSum", &signature.check_sum),
            ]);
        }
        headers.extend(request_id.map(|request_id| Header::open("RequestId", request_id)));
        headers.extend(self.extra.iter().map(|header| Header {
            name: &header.name,
            value: header.value.expose_secret(),
            secret: header.secret,
        }));
        let mut answer = host.post(Post { path, content_type, headers, body: body.to_vec() }).await?;
        // Some servers repeat a request in their error; nobody shall find there how it was signed.
        if let Some((_, signature)) = &signature {
            mask(&mut answer.body, &signature.nonce);
            mask(&mut answer.body, &signature.check_sum);
        }
        Ok(answer)
    }

    /// The headers of a request as `preview` shows them.
    pub fn shown_headers(&self, content_type: &str, request_id: Option<&str>) -> Vec<(String, String)> {
        use secrecy::ExposeSecret;
        let shown = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut headers = vec![shown("Content-Type", content_type)];
        if let Some(signer) = &self.signer {
            headers.push(shown("AppKey", &signer.app_key));
            headers.extend(["Nonce", "CurTime", "CheckSum"].map(|name| shown(name, MASK)));
        }
        headers.extend(request_id.map(|request_id| shown("RequestId", request_id)));
        headers.extend(self.extra.iter().map(|header| {
            shown(&header.name, if header.secret { MASK } else { header.value.expose_secret() })
        }));
        headers
    }

    /// What must not appear in a provider's words that are recorded.
    pub fn secrets(&self) -> Vec<&str> {
        use secrecy::ExposeSecret;
        let own = self.signer.iter().map(|signer| signer.app_secret.expose_secret());
        let extra = self.extra.iter().filter(|header| header.secret);
        own.chain(extra.map(|header| header.value.expose_secret())).collect()
    }

    /// The provider's clock minus ours, as far as known.
    pub fn clock_offset(&self) -> SignedDuration {
        SignedDuration::from_millis(self.offset_ms.load(Ordering::Relaxed))
    }

    pub fn provider_clock(&self) -> ProviderClock {
        let time = |ms: &AtomicI64| Some(ms.load(Ordering::Relaxed)).filter(|ms| *ms != i64::MIN);
        let time = |ms| time(ms).and_then(|ms| Timestamp::from_millisecond(ms).ok());
        ProviderClock {
            offset: self.clock_offset(),
            learnt_at: time(&self.offset_since_ms),
            ahead_until: time(&self.ahead_until_ms),
        }
    }

    pub fn recall_clock(&self, known: ProviderClock) {
        let ms = |time: Option<Timestamp>| time.map_or(i64::MIN, Timestamp::as_millisecond);
        self.offset_ms.store(known.offset.as_millis() as i64, Ordering::Relaxed);
        self.offset_since_ms.store(ms(known.learnt_at), Ordering::Relaxed);
        self.ahead_until_ms.store(ms(known.ahead_until), Ordering::Relaxed);
    }

    /// Whether the time that the provider gave to what it took of this request is certain, and of no other: not
    /// when its clock was learnt after the request left, nor when it had been ahead before, nor when ours was.
    pub fn knew_clock_at(&self, asked_at: Timestamp) -> bool {
        let asked_ms = asked_at.as_millisecond();
        let their_ms = asked_ms.saturating_add(self.offset_ms.load(Ordering::Relaxed));
        // What left at a time that is yet to come left before our clock was set back, and stays uncertain.
        if asked_at.duration_since(self.clock.now()) > OFFSET_CHANGE {
            self.ahead_until_ms.fetch_max(their_ms, Ordering::Relaxed);
        }
        self.offset_since_ms.load(Ordering::Relaxed) <= asked_ms
            && self.ahead_until_ms.load(Ordering::Relaxed) < their_ms
    }

    /// The provider shows something of this time, by its clock. What is yet to come was given while its clock was
    /// ahead.
    pub fn saw(&self, time: Timestamp) {
        if time.duration_since(self.provider_now()) > OFFSET_CHANGE {
            self.ahead_until_ms.fetch_max(time.as_millisecond(), Ordering::Relaxed);
        }
    }

    /// What time it is by the provider's clock, as far as known.
    pub fn provider_now(&self) -> Timestamp {
        let now = self.clock.now();
        now.checked_add(self.clock_offset()).unwrap_or(now)
    }

    /// Learns the provider's clock from an answer that refuses our time. Tells whether that changes
    /// anything, so that to ask again makes sense.
    fn learn_clock(&self, raw: &RawAnswer) -> bool {
        let Some(date) = raw.date.as_deref().and_then(|date| rfc2822::parse(date).ok()) else { return false };
        let offset = date.timestamp().duration_since(self.clock.now());
        if offset.abs() > NO_CLOCK {
            return false;
        }
        let changes = (offset - self.clock_offset()).abs() > OFFSET_CHANGE;
        if changes {
            tracing::warn!(offset_s = offset.as_secs(), "the provider's clock is not ours; it is followed");
            let offset_ms = i64::try_from(offset.as_millis()).unwrap_or(0);
            // Where it is set back, times come again that it has given already.
            self.ahead_until_ms.fetch_max(self.provider_now().as_millisecond(), Ordering::Relaxed);
            self.offset_since_ms.store(self.clock.now().as_millisecond(), Ordering::Relaxed);
            self.offset_ms.store(offset_ms, Ordering::Relaxed);
        }
        changes
    }

    /// Judges the answer to a send by what came before.
    pub fn judge(&self, path: &'static str, raw: &RawAnswer, answer: Answer) -> Answer {
        self.reached.judge(path, self.mind_clock(raw, answer))
    }

    /// A time that was refused: where the provider's clock could be learnt, the same is asked again at
    /// once; where not, there is something else wrong that asking again does not mend.
    pub fn mind_clock(&self, raw: &RawAnswer, answer: Answer) -> Answer {
        match answer.reply {
            Reply::NothingDone(Cause::Token, reason) => {
                let cause = if self.learn_clock(raw) { Cause::Token } else { Cause::Outage };
                Answer { reply: Reply::NothingDone(cause, reason), ..answer }
            }
            _ => answer,
        }
    }
}

/// Puts stars in the place of a word.
fn mask(body: &mut [u8], word: &str) {
    while let Some(at) = memchr::memmem::find(body, word.as_bytes()) {
        body[at..at + word.len()].fill(b'*');
    }
}
