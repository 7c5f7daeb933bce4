//! What nobody would say, made by a seed: answers of providers, cron text, list files, requests to the
//! listener. No panic, bounded time, and what is read holds together.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use campaignd::{
    audience::{ListOrder, read_list},
    campaign::{
        self, RecipientID,
        source::{Encoding, ListFile, ListFormat, OnBadLine},
    },
    clock::{Clock, ElapsedClock, SystemClock},
    daemon::Signals,
    gateway::{
        Addressees, Call, Gateway, Journal, Look, Pending, ReadEnd, ReadFault,
        kind::Means,
        transport::{Post, RawAnswer, Transport, TransportFault},
    },
    review,
    run::{
        inquiry::Doubt,
        look::{Addressing, Evidence, Sought},
        settlement::settle,
    },
    sandbox::{
        netease,
        transport::InProcess,
        world::{Options, World},
    },
    schedule::{Calendar, cron::CronLine},
    settings,
};
use jiff::{Timestamp, tz::TimeZone};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    sync::mpsc,
};

use crate::dice::Dice;

/// The longest that one of them may take, in a build without optimisation on a busy machine.
const LONGEST: Duration = Duration::from_secs(20);

/// What is attacked, by the name that the bench takes.
pub const TARGETS: [&str; 4] = ["answers", "cron", "lists", "listener"];

/// So many of the seed's attacks on a target; what does not hold, with what was said.
pub fn run(target: &str, seed: u64, times: usize) -> Result<(), String> {
    let mut dice = Dice::new(seed);
    match target {
        "answers" => answers(&mut dice, times),
        "cron" => (0..times).try_for_each(|_| cron(&mut dice)),
        "lists" => lists(&mut dice, times),
        "listener" => listener(&mut dice, times),
        other => Err(format!("there is no {other}: name one of {TARGETS:?}")),
    }
}

/// Spoils bytes: cuts, doubles, bits, and pieces of what they are made of.
fn spoil(dice: &mut Dice, bytes: &mut Vec<u8>, pieces: &[&str]) {
    for _ in 0..=dice.up_to(5) {
        let place = dice.up_to(bytes.len() + 1);
        let end = (place + dice.up_to(40)).min(bytes.len());
        match dice.up_to(7) {
            0 => bytes.truncate(place),
            1 => drop(bytes.drain(place..end)),
            2 => {
                let part = bytes[place..end].to_vec();
                bytes.splice(end..end, part);
            }
            3 if place < bytes.len() => bytes[place] ^= 1 << dice.up_to(8),
            _ => drop(bytes.splice(place..end.min(place + 6), pieces[dice.up_to(pieces.len())].bytes())),
        }
    }
}

/// Pieces of providers' answers.
const ANSWERS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "\\u0000",
    "\\ud800",
    "null",
    "true",
    "-1",
    "0",
    "1e999",
    "18446744073709551616",
    "0.5",
    "\"errCode\":0",
    "\"errCode\":1004",
    "\"code\":200",
    "\"code\":416",
    "\"data\":null",
    "\"data\":[]",
    "u00001",
    "u00002",
    "nobody",
    "\"serverMsgID\":\"x\"",
    "\"seq\":0",
    "\"sendTime\":9223372036854775807",
    "多",
    "\u{0}",
    "<html>",
];

/// A provider whose answers are spoilt.
struct Spoilt {
    real: Box<dyn Transport>,
    dice: Arc<Mutex<Dice>>,
}

impl Transport for Spoilt {
    fn post<'a>(&'a self, post: Post<'a>) -> Pending<'a, Result<RawAnswer, TransportFault>> {
        Box::pin(async move {
            let mut answer = self.real.post(post).await?;
            let mut dice = self.dice.lock().unwrap();
            // Some whole, so that a conversation goes on.
            if dice.up_to(2) == 0 {
                spoil(&mut dice, &mut answer.body, ANSWERS);
            }
            if dice.up_to(8) == 0 {
                answer.status = [200, 201, 204, 301, 400, 401, 404, 429, 500, 502, 599][dice.up_to(11)];
                answer.retry_after = [None, Some("-1"), Some("99999999999999999999"), Some("\u{7f}")]
                    [dice.up_to(4)]
                .map(str::to_owned);
                answer.date =
                    [None, Some("Tue, 99 Foo 2026 25:61:61 GMT"), Some("")][dice.up_to(3)].map(str::to_owned);
            }
            Ok(answer)
        })
    }
}

/// Writes nothing down.
struct Unwritten;

impl Journal for Unwritten {
    fn begin(&self, _: usize) -> Pending<'_, Result<String, ReadFault>> {
        Box::pin(async { Ok("a-look".to_owned()) })
    }

    fn end<'a>(&'a self, _: &'a str, _: ReadEnd) -> Pending<'a, ()> {
        Box::pin(async {})
    }
}

const GATEWAYS: &str = "gateways:\n\
    \x20 openim: {kind: openim, url: \"http://127.0.0.1:1\", adminUserID: imAdmin, secret: {env: S}, defaults: {sendID: notice, senderNickname: N, senderPlatformID: 2}}\n\
    \x20 batch: {kind: netease, url: \"http://127.0.0.1:1/nimserver\", appKey: sandbox, appSecret: {env: S}, call: batch}\n\
    \x20 single: {kind: netease, url: \"http://127.0.0.1:1/nimserver\", appKey: sandbox, appSecret: {env: S}, call: single}\n\
    \x20 community: {kind: netease-send-to-all, url: \"http://127.0.0.1:1/nimserver/msg/sendMsgToAll.action\", encoding: json, appKey: sandbox, appSecret: {env: S}, body: object}\n";

fn answers(dice: &mut Dice, times: usize) -> Result<(), String> {
    let (settings, problems) = settings::read("made.yaml", GATEWAYS.as_bytes(), Path::new("/etc"));
    let settings = settings.ok_or_else(|| format!("{problems:?}"))?;
    let seed = dice.up_to(1 << 40) as u64;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let start: Timestamp = "2026-11-11T00:00:00Z".parse().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(ElapsedClock::starting_at(start));
        let world = Arc::new(World::new(
            &Options { seed, users: 40, groups: 2, ..Options::default() },
            clock.clone(),
        ));
        let shared = Arc::new(Mutex::new(Dice::new(seed)));
        let mut gateways: Vec<(String, Arc<dyn Gateway>)> = Vec::new();
        for (name, gateway) in &settings.gateways {
            let (world, shared, is_openim) = (world.clone(), shared.clone(), name == "openim");
            let whole = name == "community";
            let means = Means {
                clock: clock.clone(),
                secret: &move |_| Ok(if is_openim { "openIM123" } else { "sandbox" }.to_owned().into()),
                transport: &move |_| {
                    let real: Box<dyn Transport> = match (is_openim, whole) {
                        (true, _) => Box::new(InProcess::new(world.clone())),
                        (_, true) => {
                            Box::new(netease::transport::InProcess::at(world.clone(), netease::SEND_TO_ALL))
                        }
                        _ => Box::new(netease::transport::InProcess::new(world.clone())),
                    };
                    Ok(Arc::new(Spoilt { real, dice: shared.clone() }))
                },
            };
            gateways.push((name.clone(), gateway.open(&means).map_err(|error| error.to_string())?));
        }
        for number in 0..times {
            let (name, gateway) = &gateways[dice.up_to(gateways.len())];
            converse(dice, number, name, gateway.as_ref(), &settings).await?;
            // Quiet times and tokens pass.
            tokio::time::sleep(Duration::from_secs(dice.up_to(100) as u64)).await;
        }
        Ok(())
    })
}

/// One call, with all that may be asked about it.
async fn converse(
    dice: &mut Dice,
    number: usize,
    name: &str,
    gateway: &dyn Gateway,
    settings: &settings::Settings,
) -> Result<(), String> {
    let text = match name {
        "openim" => "message: {contentType: text, content: {content: hi}}\n",
        "community" => "message: {from: notice, type: 0, body: {msg: hi}}\n",
        _ => "message: {from: notice, type: 0, body: {msg: hi}}\n",
    };
    let text = format!("gateway: {name}\n{text}recvIDs: [u00001]\nschedules: [{{every: 1h}}]\n");
    let gateways = settings.dialects();
    let context = campaign::file::Context {
        now: "2026-06-01T00:00:00Z".parse().unwrap(),
        default_zone: Some(TimeZone::UTC),
        default_gateway: None,
        gateways: &gateways,
        list_file: None,
        dates: None,
    };
    let (campaign, problems) = campaign::file::read("made.yaml", text.as_bytes(), &context);
    let message = Arc::new(campaign.ok_or_else(|| format!("{name}: {problems:?}"))?.message);
    let asked: Vec<RecipientID> = (0..=dice.up_to(4))
        .map(|offset| RecipientID::new(format!("u{:05}", 1 + dice.up_to(8) * 5 + offset)).unwrap())
        .collect();
    let addressing = [Addressing::Users, Addressing::User][dice.up_to(2)];
    let sent_at = 1_794_355_200_000 + number as i64;
    let call = Call {
        operation_id: format!("{number:032x}"),
        message: message.clone(),
        to: Addressees::new(addressing, asked),
        send_time_ms: gateway.stamps_send_time(&message).map(|_| sent_at),
        written_to: Default::default(),
    };
    let asked = call.to.recipients().to_vec();
    // Whatever it says, the call is made all the same.
    let _ = gateway.prepare().await;
    let answer = gateway.send(&call).await;
    let told = format!("{name} {answer:?}");
    let settlement = settle(&asked, answer.reply, Doubt::Hold).map_err(|error| format!("{told}: {error}"))?;
    let mut decided: Vec<_> = settlement.outcomes.iter().map(|(id, _)| id.clone()).collect();
    decided.sort();
    let mut expected = asked.clone();
    expected.sort();
    // All of them, once; or nobody, when nothing was done.
    if !decided.is_empty() && decided != expected {
        return Err(format!("{told}: of {expected:?} it decides {decided:?}"));
    }
    if let Some(words) = answer.provider_message
        && (words.chars().count() > 500 || words.chars().any(|letter| letter == '\n'))
    {
        return Err(format!("{told}: its words are long, or lines"));
    }
    let sought: Vec<Sought> = asked
        .iter()
        .map(|recipient| Sought {
            recipient: recipient.clone(),
            message: message.clone(),
            send_time_ms: call.send_time_ms,
            operation_id: call.operation_id.clone(),
            asked_at: "2026-11-11T00:00:00Z".parse().unwrap(),
            asked_last_at: "2026-11-11T00:00:00Z".parse().unwrap(),
            seen_until: None,
        })
        .collect();
    let look = Look {
        message: message.clone(),
        addressing,
        counts: [Evidence::Taken, Evidence::Stored][dice.up_to(2)],
        sought,
    };
    if let Ok(sightings) = gateway.look(&look, &Unwritten).await
        && sightings.len() != look.sought.len()
    {
        return Err(format!("{name}: {} sightings of {}", sightings.len(), look.sought.len()));
    }
    if let Ok(explained) = gateway.explain(&message, &asked, &Unwritten).await
        && let Some((stranger, _)) = explained.iter().find(|(id, _)| !asked.contains(id))
    {
        return Err(format!("{name} explains {stranger:?}, who was not asked"));
    }
    let _ = gateway.users(&message, 1 + dice.up_to(3) as u32).await;
    let _ = gateway.members(&RecipientID::new("g1001").unwrap(), 1).await;
    let _ = gateway.works().await;
    let _ = gateway.check_sender(&message, &Unwritten).await;
    Ok(())
}

/// Pieces of cron text.
const CRON: &[&str] = &[
    " ",
    "*",
    "*/",
    "/",
    "-",
    ",",
    "0",
    "7",
    "30",
    "59",
    "60",
    "31",
    "29",
    "2",
    "99999999999999999999",
    "MON",
    "SUN",
    "FRI",
    "FEB",
    "L",
    "W",
    "15W",
    "LW",
    "#",
    "5#3",
    "?",
    "@daily",
    "@yearly",
    "@",
    "+",
    "1-5",
    "5-1",
    "\u{a0}",
    "１",
    "\t",
    "*/0",
    "0/1",
];

fn cron(dice: &mut Dice) -> Result<(), String> {
    let mut bytes = ["0 9 * * MON-FRI", "*/5 * * * *", "0 0 29 2 *", "@daily", "0 30 4 1,15 * 5"]
        [dice.up_to(5)]
    .as_bytes()
    .to_vec();
    spoil(dice, &mut bytes, CRON);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let clock = SystemClock::new();
    let start = clock.steady();
    let Ok(line) = CronLine::parse(&text) else { return Ok(()) };
    let _ = line.in_words();
    let zone = ["Europe/Berlin", "Asia/Shanghai", "America/St_Johns", "Australia/Lord_Howe"][dice.up_to(4)];
    let calendar = Calendar::usual(TimeZone::get(zone).unwrap());
    let mut after = Timestamp::from_second(1_700_000_000 + dice.up_to(200_000_000) as i64).unwrap();
    for _ in 0..20 {
        let Some(next) = line.next_after(&calendar, after) else { break };
        if next <= after {
            return Err(format!("{text:?}: {next} does not follow {after} in {zone}"));
        }
        after = next;
    }
    let took = clock.steady().duration_since(start).unsigned_abs();
    if took > LONGEST { Err(format!("{text:?} took {took:?}")) } else { Ok(()) }
}

/// Pieces of list files.
const LISTS: &[&str] = &[
    "\n",
    "\r\n",
    "\r",
    ",",
    ";",
    "\t",
    "\"",
    "\"\"",
    "\u{feff}",
    "\u{0}",
    "userID",
    "id",
    "{\"userID\":\"u1\"}",
    "{",
    "[",
    "u00001",
    "多多",
    " ",
    "\u{2028}",
    "\\u0041",
    "null",
    "17",
    "1e5",
];

fn lists(dice: &mut Dice, times: usize) -> Result<(), String> {
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let path = folder.path().join("list");
    let clock = SystemClock::new();
    for _ in 0..times {
        let mut bytes = [
            "userID,name\nu1,\"a, b\"\nu2,c\n",
            "u1\nu2\n\nu3\n",
            "{\"userID\":\"u1\",\"name\":\"x\"}\n{\"userID\":\"u2\"}\n",
        ][dice.up_to(3)]
        .repeat(1 + dice.up_to(3))
        .into_bytes();
        spoil(dice, &mut bytes, LISTS);
        std::fs::write(&path, &bytes).unwrap();
        let column = "userID".to_owned();
        let list = ListFile {
            path: "list".to_owned(),
            format: match dice.up_to(4) {
                0 => ListFormat::Lines,
                1 => ListFormat::CSV { column },
                2 => ListFormat::NDJSON { column: Some(column) },
                _ => ListFormat::NDJSON { column: None },
            },
            encoding: [Encoding::UTF8, Encoding::GB18030][dice.up_to(2)],
            on_bad_line: [OnBadLine::Problem, OnBadLine::Skip][dice.up_to(2)],
        };
        let start = clock.steady();
        let mut ids = BTreeMap::new();
        let read = read_list(&ListOrder::ids(&path, &list), &mut |id, _| {
            *ids.entry(id.to_owned()).or_insert(0u64) += 1;
            Ok(())
        });
        let took = clock.steady().duration_since(start).unsigned_abs();
        let told = || format!("{list:?} {:?}", String::from_utf8_lossy(&bytes));
        if let Ok(reading) = read {
            if reading.rows != ids.values().sum::<u64>() {
                return Err(format!("{}: counts {} rows and gave {ids:?}", told(), reading.rows));
            }
            if let Some(id) = ids.keys().find(|id| id.is_empty() || id.contains(['\n', '\r', '\0'])) {
                return Err(format!("{}: gave {id:?}", told()));
            }
        }
        if took > LONGEST {
            return Err(format!("{} took {took:?}", told()));
        }
    }
    Ok(())
}

/// Pieces of requests.
const HTTP: &[&str] = &[
    "GET ",
    "POST ",
    "HEAD ",
    "/healthz",
    "/readyz",
    "/",
    "/../..",
    "%00",
    "?",
    " HTTP/1.1",
    " HTTP/1.0",
    " HTTP/9.9",
    "\r\n",
    "\r\n\r\n",
    "Host: x",
    "Content-Length: 99999999999999999999",
    "Content-Length: -1",
    "Transfer-Encoding: chunked",
    "ffffffffffffffff\r\n",
    "Connection: close",
    "Expect: 100-continue",
    "\u{0}",
    "é",
    ":",
];

/// Connections within the process: a network has too few ports for so many.
struct Calls(mpsc::Receiver<DuplexStream>);

impl axum::serve::Listener for Calls {
    type Io = DuplexStream;
    type Addr = ();

    async fn accept(&mut self) -> (DuplexStream, ()) {
        match self.0.recv().await {
            Some(call) => (call, ()),
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<()> {
        Ok(())
    }
}

fn listener(dice: &mut Dice, times: usize) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let signals = Arc::new(Signals::default());
    signals.ready.send_replace(true);
    let (calls, called) = mpsc::channel(1);
    runtime.spawn(review::serve(Calls(called), signals.clone()));
    // A daemon that lives.
    runtime.spawn(async move {
        loop {
            signals.round.notified().await;
            signals.rounds.send_modify(|rounds| *rounds += 1);
        }
    });
    runtime.block_on(async {
        for _ in 0..times {
            let path = ["/readyz", "/healthz"][dice.up_to(2)];
            let mut bytes = request(path);
            spoil(dice, &mut bytes, HTTP);
            let answer =
                ask(&calls, &bytes).await.map_err(|what| format!("{what}: {}", bytes.escape_ascii()))?;
            if !answer.is_empty() && !answer.starts_with(b"HTTP/1.") {
                return Err(format!("{} to {}", answer.escape_ascii(), bytes.escape_ascii()));
            }
        }
        let answer = ask(&calls, &request("/readyz")).await?;
        let serves = answer.starts_with(b"HTTP/1.1 200");
        if serves { Ok(()) } else { Err(format!("in the end it says {}", answer.escape_ascii())) }
    })
}

fn request(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").into_bytes()
}

/// What it says to that until it closes, which it must.
async fn ask(calls: &mpsc::Sender<DuplexStream>, request: &[u8]) -> Result<Vec<u8>, String> {
    let (mut ours, theirs) = tokio::io::duplex(1 << 16);
    calls.send(theirs).await.map_err(|_| "it takes no calls")?;
    let conversation = async {
        let mut answer = Vec::new();
        ours.write_all(request).await?;
        // Whoever hangs up at once is not answered.
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        ours.shutdown().await?;
        ours.read_to_end(&mut answer).await.map(|_| answer)
    };
    let answer = tokio::time::timeout(LONGEST, conversation).await.map_err(|_| "it does not end")?;
    // Whatever it says to that, it may close.
    Ok(answer.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #[allow(unused_imports, reason = "a bench has no tests")]
    use super::*;

    /// More connections than are served at once say nothing; whoever asks comes after them.
    #[tokio::test(start_paused = true)]
    async fn connections_that_say_nothing_have_their_time_and_no_more() {
        let signals = Arc::new(Signals::default());
        signals.ready.send_replace(true);
        let (calls, called) = mpsc::channel(1);
        tokio::spawn(review::serve(Calls(called), signals));
        let mut silent = Vec::new();
        let call_all = async {
            for _ in 0..100 {
                let (ours, theirs) = tokio::io::duplex(1 << 10);
                calls.send(theirs).await.unwrap();
                silent.push(ours);
            }
            let (mut ours, theirs) = tokio::io::duplex(1 << 10);
            calls.send(theirs).await.unwrap();
            ours.write_all(&request("/readyz")).await.unwrap();
            let mut answer = String::new();
            ours.read_to_string(&mut answer).await.map(|_| answer)
        };
        let answer = tokio::time::timeout(Duration::from_secs(20), call_all).await.unwrap().unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        for mut ours in silent {
            let mut byte = [0; 1];
            let closed = tokio::time::timeout(Duration::from_secs(20), ours.read(&mut byte)).await;
            assert_eq!(closed.expect("it is closed").unwrap(), 0, "without a word");
        }
    }

    #[test]
    fn nonsense_is_refused_and_harms_nothing() {
        for (target, times) in [("answers", 300), ("cron", 2_000), ("lists", 2_000), ("listener", 200)] {
            if let Err(what) = run(target, 1, times) {
                panic!("{target}: {what}");
            }
        }
    }
}
