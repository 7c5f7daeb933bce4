//! The other provider of a history: gateways to NetEase's side of the same world, their campaigns, and what goes
//! wrong there.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use campaignd::{
    clock::Clock,
    daemon::Post,
    gateway::{
        Gateway, Pending,
        kind::Means,
        transport::{Post as Request, RawAnswer, Transport, TransportFault},
    },
    sandbox::{
        faults::{Drip, Faults, HTTPStatus, Hang, Times},
        netease::{
            faults::{CodeFault, NetEaseFaults, Truncate, Unregister},
            transport::InProcess,
        },
        world::World,
    },
    settings,
};

use super::scale::Scale;
use crate::dice::Dice;

/// The gateways' limit, by which the auditor judges too.
pub const CALLS_A_MINUTE: usize = 30;

/// NetEase's side of a history.
pub struct NetEase {
    scale: Scale,
    dice: Dice,
    pub first_host_is_down: Arc<AtomicBool>,
    /// The second host's world, where it shares nothing with the first.
    pub second: Option<Arc<World>>,
}

/// The first of two hosts.
struct FirstHost {
    inside: InProcess,
    is_down: Arc<AtomicBool>,
}

impl Transport for FirstHost {
    fn post<'a>(&'a self, post: Request<'a>) -> Pending<'a, Result<RawAnswer, TransportFault>> {
        if self.is_down.load(Ordering::Relaxed) {
            let fault = TransportFault::NeverConnected("the first host is down".to_owned());
            return Box::pin(std::future::ready(Err(fault)));
        }
        self.inside.post(post)
    }
}

impl NetEase {
    pub fn new(seed: u64, scale: Scale) -> NetEase {
        let dice = Dice::new(seed.wrapping_add(7_777));
        NetEase { scale, dice, first_host_is_down: Arc::default(), second: None }
    }

    /// The gateways, by their names.
    pub fn posts(&self, world: &Arc<World>, clock: &Arc<impl Clock + 'static>) -> Vec<(String, Post)> {
        let (batch, settle) = (self.scale.batch(60), self.scale.settle().as_secs());
        let gateway = |name: &str, rest: &str| {
            format!(
                "  {name}: {{kind: netease, url: [\"http://127.0.0.1:1/nimserver\", \"http://127.0.0.1:2/nimserver\"], \
                 appKey: sandbox, appSecret: {{env: S}}, defaults: {{from: notice}}, batchSize: {batch}, \
                 settle: {settle}s, limits: {{calls: {CALLS_A_MINUTE}/min}}{rest}}}\n"
            )
        };
        let text = [
            "gateways:\n".to_owned(),
            gateway("batch", ""),
            gateway("single", ", call: single"),
            gateway("attach", ", call: attach"),
            gateway("looks", ", replayWithin: off"),
        ]
        .concat();
        let (settings, problems) = settings::read("s.yaml", text.as_bytes(), std::path::Path::new(""));
        assert!(problems.is_empty(), "{problems:?}");
        let settings = settings.unwrap();
        let (world, first_host_is_down) = (world.clone(), self.first_host_is_down.clone());
        let second = self.second.clone().unwrap_or_else(|| world.clone());
        let means = Means {
            clock: clock.clone() as Arc<dyn Clock>,
            secret: &|_| Ok("sandbox".to_owned().into()),
            transport: &move |reach| {
                let inside = |world: &Arc<World>| InProcess::new(world.clone()).waiting(reach.timeout);
                if reach.url.contains(":1/") {
                    let (inside, is_down) = (inside(&world), first_host_is_down.clone());
                    return Ok(Arc::new(FirstHost { inside, is_down }));
                }
                Ok(Arc::new(inside(&second)))
            },
        };
        let post = |name: &str| {
            let own = &settings.gateways[name];
            let gateway: Arc<dyn Gateway> = own.open(&means).unwrap();
            let figures = own.figures();
            Post { gateway, limits: figures.limits.clone(), settle: figures.settle, probe: None }
        };
        ["batch", "single", "attach", "looks"].map(|name| (name.to_owned(), post(name))).into()
    }

    /// Campaign files: for each call one, and one whose lost answers are only looked up.
    pub fn campaigns(scale: Scale) -> Vec<(&'static str, String)> {
        let few = |from: u32, to: u32| (from..=to).map(|n| format!("U{n:05}")).collect::<Vec<_>>().join(", ");
        let few_of = |from: u32, to: u32| few(scale.people(from), scale.people(to));
        let every = |minutes| scale.minutes(minutes);
        let late = scale.minutes(3);
        let list = format!(
            "recipients: [{{file: list.txt}}]\nexclude: [{{file: quiet.txt}}]\nfinishWithin: {}\n",
            scale.minutes(40)
        );
        vec![
            (
                "netease-list.yaml",
                format!(
                    "gateway: batch\nmessage: {{type: 0, body: {{msg: list}}}}\n{list}schedules: [{{every: {}}}]\n",
                    every(45)
                ),
            ),
            (
                "netease-looks.yaml",
                format!(
                    "gateway: looks\nmessage: {{type: 0, body: {{msg: looks}}, returnMsgid: true}}\n{list}\
                     schedules: [{{every: {}}}]\n",
                    every(50)
                ),
            ),
            (
                "netease-single.yaml",
                format!(
                    "gateway: single\nmessage: {{type: 0, body: {{msg: casino}}}}\nrecvIDs: [{}, ghost]\n\
                     schedules: [{{every: {}}}]\nlateness: {{max: {late}}}\n",
                    few(1, 8),
                    every(13)
                ),
            ),
            (
                "netease-note.yaml",
                format!(
                    "gateway: attach\nmessage: {{attach: {{event: note}}}}\nrecvIDs: [{}, ghost]\n\
                     schedules: [{{every: {}}}]\nlateness: {{max: {late}}}\n",
                    few_of(290, 345),
                    every(11)
                ),
            ),
            (
                "netease-everyone.yaml",
                format!(
                    "gateway: batch\nmessage: {{body: {{banner: 1}}, isOffline: true}}\nisSendAll: true\n\
                     delivery: {{ignoreSuppressions: true}}\nschedules: [{{every: {}}}]\nlateness: {{max: {late}}}\n",
                    every(17)
                ),
            ),
            (
                "netease-hold.yaml",
                format!(
                    "gateway: batch\nmessage: {{type: 0, body: {{msg: hold}}}}\nrecvIDs: [{}]\n\
                     schedules: [{{every: {}}}]\nlateness: {{max: {late}}}\ndelivery: {{onUnknown: hold}}\n",
                    few_of(20, 60),
                    every(19)
                ),
            ),
        ]
    }

    /// What goes wrong until the next trouble, besides what hits all providers.
    pub fn trouble(&mut self, faults: &mut Faults) {
        self.first_host_is_down.store(self.dice.up_to(4) == 0, Ordering::Relaxed);
        let few = self.dice.up_to(3) as u32 + 1;
        let times = if self.dice.up_to(3) == 0 { u32::MAX } else { few };
        let code = |code, desc: &str, times| Some(CodeFault::new(code, desc, times));
        let sends = || Some("/nimserver/msg/".to_owned());
        let mut netease = NetEaseFaults {
            unregister: [Unregister::Text, Unregister::List][self.dice.up_to(2)],
            big_ids: self.dice.up_to(2) == 0,
            code_as_text: self.dice.up_to(3) == 0,
            ..NetEaseFaults::default()
        };
        match self.dice.up_to(18) {
            0..=3 => faults.drop_answer = Some(Times { times: few, path: sends() }),
            4 => netease.quota = 1 + self.dice.up_to(3) as u32,
            5 => netease.code_before = code(416, "query too fast", times),
            6 => netease.clock_ahead_s = [3_600, -3_600, 301, -301][self.dice.up_to(4)],
            7 => netease.antispam = "casino".to_owned(),
            8 => netease.code_after = code([500, 431, 998][self.dice.up_to(3)], "", few),
            9 => netease.code_before = code([503, 514, 449, 500][self.dice.up_to(4)], "", times),
            10 => netease.truncate = Some(Truncate { bytes: None, times: few, path: None }),
            11 => netease.suspended = true,
            12 => {
                netease.repeated_is_431 = true;
                faults.drop_answer = Some(Times { times: few, path: sends() });
            }
            13 => netease.no_broadcast = true,
            14 => {
                let status = [502, 503, 200][self.dice.up_to(3)];
                faults.http_status = Some(HTTPStatus { status, times: few, path: sends() });
            }
            15 => {
                let for_ms =
                    [None, Some(8_000), Some(25_000), Some(self.scale.longest_hang_ms())][self.dice.up_to(4)];
                let after_work = self.dice.up_to(2) == 0;
                faults.hang = Some(Hang { for_ms, after_work, times: few, path: sends() });
            }
            16 => {
                faults.drip =
                    Some(Drip { pause_ms: [100, 5_000][self.dice.up_to(2)], times: few, path: sends() })
            }
            _ => faults.unreachable = Some(Times { times: few, path: Some("/nimserver".to_owned()) }),
        }
        faults.netease = netease;
    }

    /// Nothing is wrong any more.
    pub fn peace(&self) {
        self.first_host_is_down.store(false, Ordering::Relaxed);
    }
}
