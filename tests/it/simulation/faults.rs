//! The fault plan: what a provider does wrong next, by chance.

use campaignd::sandbox::faults::{
    AuthDown, CacheHangs, CutAfter, ErrCode, Faults, HTTPStatus, Hang, MessageServiceDown, Throttle, Times,
};

use super::scale::Scale;
use crate::dice::Dice;

/// The longest that a message travels in a long history: well below the time after which absence may be proven.
const LONGEST_WAY_MS: usize = 2 * 60 * 1_000;
/// How old a backup may be there to which a provider goes back.
const LONGEST_RESTORED_MS: usize = 60 * 60 * 1_000;

/// What each is called, in the order of the dice.
const NAMES: [&str; 22] = [
    "answer lost",
    "cut",
    "status of a proxy",
    "error that tells nothing",
    "token refused",
    "throttled",
    "unreachable",
    "tokens expired",
    "tokens unchecked",
    "message service down",
    "message service killed",
    "hangs",
    "cache hangs",
    "stored late",
    "messages left out",
    "conversations left out",
    "failed though stored",
    "everyone refused",
    "messages lost",
    "killed with loss",
    "stored again",
    "provider restored",
];

/// What goes wrong until the next trouble: a few requests, or an outage; and what it is called.
pub fn faults(dice: &mut Dice, scale: Scale) -> (&'static str, Faults) {
    let latency_ms = [0.0, 2.0, 30.0][dice.up_to(3)];
    let mut faults = Faults { latency_ms, ..Faults::default() };
    let few = dice.up_to(3) as u32 + 1;
    let times = if dice.up_to(3) == 0 { u32::MAX } else { few };
    let path = None;
    let (users, batch) = (scale.users(), scale.batch(40) as usize);
    let longest_way_ms = scale.of_trouble(LONGEST_WAY_MS);
    let every_path = || Some("/".to_owned());
    let kind = dice.up_to(NAMES.len());
    match kind {
        0 => faults.drop_answer = Some(Times { times: few, path }),
        1 => faults.cut_after = Some(CutAfter { recipients: dice.up_to(batch), times: few, path }),
        2 => faults.http_status = Some(HTTPStatus { status: [502, 200][dice.up_to(2)], times: few, path }),
        3 => faults.err_code = Some(ErrCode { code: [14, 500][dice.up_to(2)], times, path }),
        4 => faults.err_code = Some(ErrCode { code: [1_507, 1_501][dice.up_to(2)], times, path }),
        5 => {
            let retry_after = Some(["5", "1", "soon", "120"][dice.up_to(4)].to_owned());
            faults.throttle = Some(Throttle { retry_after, times, path });
        }
        6 => faults.unreachable = Some(Times { times, path: every_path() }),
        7 => {
            faults.expire_tokens = true;
            faults.refuse.insert(format!("u{:05}", dice.up_to(users as usize)));
        }
        8 => faults.auth_down = Some(AuthDown { times, path }),
        9 => faults.message_service_down = Some(MessageServiceDown { times, path }),
        10 => {
            faults.message_service_killed =
                Some(CutAfter { recipients: dice.up_to(batch), times: few, path });
        }
        11 => {
            let for_ms = [None, Some(20_000)][dice.up_to(2)];
            faults.hang = Some(Hang { for_ms, after_work: dice.up_to(2) == 0, times: few, path });
        }
        12 => faults.cache_hangs = Some(CacheHangs { for_ms: 25_000, lose_every: 0, times: few, path }),
        13 => {
            faults.store_late_ms = dice.up_to(longest_way_ms) as u32;
            faults.partition_late_ms = (0..8).map(|_| dice.up_to(longest_way_ms) as u32).collect();
        }
        14 => faults.omit_messages_every = dice.up_to(3) as u32 + 2,
        15 => faults.omit_conversations_every = dice.up_to(3) as u32 + 2,
        16 => faults.fail_stored_every = dice.up_to(20) as u32 + 2,
        18 => faults.lose_every = dice.up_to(30) as u32 + 2,
        19 => faults.lose_waiting = true,
        20 => faults.store_again = dice.up_to(50) as u32 + 1,
        21 => {
            faults.restore_backup_of_ms_ago = Some(dice.up_to(scale.of_trouble(LONGEST_RESTORED_MS)) as u64)
        }
        _ => faults.refuse = (1..=users).map(|number| format!("u{number:05}")).collect(),
    }
    (NAMES[kind], faults)
}
