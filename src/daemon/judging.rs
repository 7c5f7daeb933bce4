//! Who of an audience is asked: its members, with what the ledger and the campaign say of them.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::{
    audience::{Member, SourceSet},
    campaign::{Caps, RecipientID},
    run::{
        RunID,
        reply::Reason,
        screen::{Held, Screen, Screened},
    },
    store::{Store, Stored},
};

/// Members, sorted, with those whom the ledger holds back.
#[derive(Default)]
pub struct Asked {
    pub members: Vec<Member>,
    suppressed: HashMap<RecipientID, Reason>,
    capped: HashMap<RecipientID, Reason>,
}

impl Asked {
    /// Asks the ledger who of the members, sorted, must not be written to by this run.
    pub fn of(
        store: &mut dyn Store,
        members: Vec<Member>,
        run: &RunID,
        caps: &Caps,
        now: Timestamp,
    ) -> Stored<Asked> {
        let (Some(first), Some(last)) = (members.first(), members.last()) else {
            return Ok(Asked::default());
        };
        let suppressed = store.suppressed_between(&first.id, &last.id, now)?.into_iter().collect();
        let capped = store.capped_between(run, caps, &first.id, &last.id, now)?.into_iter().collect();
        Ok(Asked { members, suppressed, capped })
    }

    pub fn judge(mut self, screen: &Screen<'_>, sides: (SourceSet, SourceSet)) -> Judged {
        let (included, excluded) = sides;
        let mut left_out = Vec::new();
        // Mostly everyone is asked, and then nobody is moved.
        self.members.retain(|member| {
            if !member.sources.meets(included) {
                return false;
            }
            let held = Held {
                suppressed: held(&mut self.suppressed, &member.id),
                capped: held(&mut self.capped, &member.id),
            };
            match screen.judge(&member.id, member.sources.meets(excluded), held) {
                Screened::NotSampled => false,
                Screened::Excluded(reason) => {
                    left_out.push((member.id.clone(), reason));
                    false
                }
                Screened::Asked => true,
            }
        });
        Judged { asked: self.members, excluded: left_out }
    }
}

/// Why one is held back. Mostly nobody is, and then nothing is hashed.
fn held(reasons: &mut HashMap<RecipientID, Reason>, id: &RecipientID) -> Option<Reason> {
    if reasons.is_empty() { None } else { reasons.remove(id) }
}

/// Members, sorted: who is asked, and who is not.
#[derive(Default)]
pub struct Judged {
    pub asked: Vec<Member>,
    pub excluded: Vec<(RecipientID, Reason)>,
}
