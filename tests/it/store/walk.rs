//! A walk of random steps beside a model of everyone: after each the ledger says what the model says.

use std::collections::{BTreeMap, HashMap};

use campaignd::{
    campaign::RecipientID,
    run::{
        Counts, Delivery, Ending, Outcome, RunEvent, RunID, RunState,
        delivery::DeliveryEvent,
        inquiry::Doubt,
        look::Addressing,
        reply::{Cause, Receipt, Reply, Verdict},
        settlement::settle,
    },
    store::{Begun, Drain, Intent, Store},
};
use proptest::{collection::vec, prelude::*, sample::Index};

use super::{Open, STORES, at, change, end, opened, reason};

const AUDIENCE: usize = 24;

/// How a call ends.
#[derive(Debug, Clone)]
enum Answer {
    /// A verdict for each recipient, over and over.
    Answered(Vec<u8>),
    NothingDone,
    Rejected,
    Unanswered,
    Withdrawn,
}

#[derive(Debug, Clone)]
enum Step {
    /// With the most recipients, and how far the provider's clock is off.
    Begin(u64, i64),
    /// One of the calls under way ends.
    End(Index, Answer),
    Event(RunEvent),
    Drain(u32),
    /// Anyone at all is said to have been read.
    Look(Vec<(Index, u8)>),
    /// The daemon dies, and another one opens the ledger.
    Crash,
}

fn verdict(kind: u8) -> Verdict {
    match kind % 4 {
        0 => Verdict::Refused(reason()),
        1 => Verdict::Unknown(reason()),
        _ => Verdict::Accepted(Receipt::default()),
    }
}

fn steps() -> impl Strategy<Value = Vec<(usize, Step)>> {
    let answer = prop_oneof![
        6 => vec(any::<u8>(), 1..6).prop_map(Answer::Answered),
        2 => Just(Answer::NothingDone),
        1 => Just(Answer::Rejected),
        2 => Just(Answer::Unanswered),
        2 => Just(Answer::Withdrawn),
    ];
    let stop = |ending| RunEvent::Stop { ending, reason: "stopped".to_owned() };
    let event = prop_oneof![
        4 => Just(RunEvent::Pause { reason: "paused".to_owned() }),
        6 => Just(RunEvent::Resume),
        1 => Just(stop(Ending::Cancelled)),
        1 => Just(stop(Ending::Expired)),
        1 => Just(stop(Ending::Failed)),
        1 => Just(RunEvent::Sealed),
    ];
    let step = prop_oneof![
        12 => (1u64..9, -50i64..50).prop_map(|(most, clock)| Step::Begin(most, clock)),
        12 => (any::<Index>(), answer).prop_map(|(which, answer)| Step::End(which, answer)),
        4 => event.prop_map(Step::Event),
        3 => (1u32..4).prop_map(Step::Drain),
        3 => vec((any::<Index>(), any::<u8>()), 0..6).prop_map(Step::Look),
        1 => Just(Step::Crash),
    ];
    vec((0usize..2, step), 1..60)
}

/// What must be true of one run.
struct Model {
    run: RunID,
    state: RunState,
    everyone: BTreeMap<RecipientID, Delivery>,
    under_way: Vec<Begun>,
}

impl Model {
    fn new(store: &mut dyn Store, name: &str) -> Model {
        let everyone = super::recipients(AUDIENCE).into_iter().map(|id| (id, Delivery::Pending)).collect();
        let run = opened(store, name, AUDIENCE, 6);
        Model { run, state: RunState::Running, everyone, under_way: Vec::new() }
    }

    fn counts(&self) -> Counts {
        let mut counts = Counts { audience: self.everyone.len() as u64, ..Counts::default() };
        for delivery in self.everyone.values() {
            match delivery {
                Delivery::Pending => counts.pending += 1,
                Delivery::InFlight => counts.in_flight += 1,
                Delivery::Decided(outcome) => *counts.of(outcome) += 1,
            }
        }
        counts
    }

    /// The event must have its place: nobody is asked twice at once, or again once decided.
    fn happens(&mut self, recipient: &RecipientID, event: DeliveryEvent) {
        let delivery = self.everyone.get_mut(recipient).unwrap();
        *delivery = delivery.clone().after(event).unwrap();
    }

    fn run_happens(&mut self, event: RunEvent) {
        if let Ok(after) = self.state.clone().after(event) {
            self.state = after;
        }
    }

    fn drained(&self) -> bool {
        let counts = self.counts();
        counts.pending + counts.in_flight == 0
    }

    fn begin(&mut self, store: &mut dyn Store, most: u64, provider_now: i64, last_stamp: &mut i64) {
        let stamp = Some(("notice".to_owned(), at(provider_now)));
        let intent = Intent {
            names_batches: false,
            run: self.run.clone(),
            at: at(1),
            most_recipients: most,
            caps: Default::default(),
            addressing: Addressing::Users,
            stamp,
        };
        let begun = change(store, |store| store.batch_begin(&intent)).unwrap();
        assert_eq!(begun.is_some(), self.state == RunState::Running && self.counts().pending > 0);
        let Some(begun) = begun else { return };
        assert!((1..=most).contains(&(begun.recipients.len() as u64)));
        let stamp = begun.send_time_ms.unwrap();
        assert!(stamp > *last_stamp && stamp >= at(provider_now).as_millisecond());
        *last_stamp = stamp;
        for recipient in &begun.recipients {
            self.happens(recipient, DeliveryEvent::Asked);
        }
        self.under_way.push(begun);
    }

    fn end(&mut self, store: &mut dyn Store, which: Index, answer: Answer) {
        if self.under_way.is_empty() {
            return;
        }
        let begun = self.under_way.swap_remove(which.index(self.under_way.len()));
        let asked = &begun.recipients;
        let reply = match answer {
            Answer::Withdrawn => {
                change(store, |store| store.batch_withdraw(begun.attempt, at(2))).unwrap();
                asked.iter().for_each(|id| self.happens(id, DeliveryEvent::NothingDone));
                return;
            }
            Answer::Answered(kinds) => {
                let verdicts = kinds.into_iter().map(verdict).collect::<Vec<_>>().into_iter().cycle();
                Reply::Answered(asked.iter().cloned().zip(verdicts).collect())
            }
            Answer::NothingDone => Reply::NothingDone(Cause::Unreachable, reason()),
            Answer::Rejected => Reply::Rejected(reason()),
            Answer::Unanswered => Reply::Unanswered(reason()),
        };
        let settlement = settle(asked, reply.clone(), Doubt::Hold).unwrap();
        let state = change(store, |store| store.batch_settle(&end(begun.attempt, 2), &settlement)).unwrap();
        let events: Vec<_> = match reply {
            Reply::Answered(verdicts) => {
                verdicts.into_iter().map(|(id, verdict)| (id, DeliveryEvent::Answered(verdict))).collect()
            }
            Reply::NothingDone(..) => each(asked, &DeliveryEvent::NothingDone),
            Reply::Rejected(reason) => each(asked, &DeliveryEvent::Rejected(reason)),
            Reply::Unanswered(reason) => each(asked, &DeliveryEvent::Unanswered(reason)),
        };
        events.into_iter().for_each(|(id, event)| self.happens(&id, event));
        settlement.run.into_iter().for_each(|event| self.run_happens(event));
        if self.drained() && settlement.unexplained.is_empty() {
            self.run_happens(RunEvent::Drained);
        }
        assert_eq!(state, self.state);
    }

    fn event(&mut self, store: &mut dyn Store, event: RunEvent) {
        let expected = self.state.clone().after(event.clone()).ok();
        let after = change(store, |store| store.run_event(&self.run, event.clone(), None, at(3)));
        assert_eq!(after.ok(), expected);
        self.run_happens(event);
    }

    /// Nobody knows here whom a slice reaches, so it is drained to its end.
    fn drain(&mut self, store: &mut dyn Store, most_batches: u32) {
        let mut drain =
            || change(store, |store| store.run_drain(&self.run, most_batches, false, at(4))).unwrap();
        let last = loop {
            match drain() {
                Drain::More => {}
                last => break last,
            }
        };
        if let RunState::Ending { ending, .. } = &self.state {
            let ending = *ending;
            let pending = self.everyone.iter().filter(|(_, delivery)| **delivery == Delivery::Pending);
            let left: Vec<_> = pending.map(|(id, _)| id.clone()).collect();
            left.iter().for_each(|id| self.happens(id, DeliveryEvent::Stopped(ending, reason())));
        }
        if self.drained() {
            self.run_happens(RunEvent::Drained);
            assert_eq!(last, Drain::Over(self.state.clone()));
        } else {
            assert_eq!(last, Drain::Busy);
        }
    }

    fn look(&mut self, store: &mut dyn Store, read: &[(Index, u8)]) {
        let ids: Vec<_> = self.everyone.keys().cloned().collect();
        let read: Vec<_> = read.iter().map(|(who, kind)| (who.get(&ids).clone(), verdict(*kind))).collect();
        let outcomes: Vec<_> =
            read.iter().map(|(id, verdict)| (id.clone(), Outcome::from(verdict.clone()))).collect();
        let count = outcomes.len() as u64;
        let (attempt, _) = change(store, |store| store.look_begin(&self.run, 1, count, at(5))).unwrap();
        change(store, |store| store.look_end(&end(attempt, 6), true)).unwrap();
        change(store, |store| store.look_read(&self.run, Some(attempt), &outcomes, at(6))).unwrap();
        for (id, verdict) in read {
            let delivery = self.everyone.get_mut(&id).unwrap();
            if let Ok(after) = delivery.clone().after(DeliveryEvent::Read(verdict)) {
                *delivery = after;
            }
        }
    }

    /// What is in flight at a crash is unknown; gives how many.
    fn crash(&mut self) -> u64 {
        let lost = std::mem::take(&mut self.under_way);
        for (id, event) in
            lost.iter().flat_map(|begun| each(&begun.recipients, &DeliveryEvent::Unanswered(reason())))
        {
            self.happens(&id, event);
        }
        if !lost.is_empty() && self.drained() {
            self.run_happens(RunEvent::Drained);
        }
        lost.iter().map(|begun| begun.recipients.len() as u64).sum()
    }
}

fn each(asked: &[RecipientID], event: &DeliveryEvent) -> Vec<(RecipientID, DeliveryEvent)> {
    asked.iter().map(|id| (id.clone(), event.clone())).collect()
}

fn walk(open: Open, steps: Vec<(usize, Step)>) {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path());
    let mut models = ["sale", "news"].map(|name| Model::new(store.as_mut(), name));
    let mut last_stamp = i64::MIN;
    for (which, step) in steps {
        let model = &mut models[which];
        match step {
            Step::Begin(most, provider_now) => {
                model.begin(store.as_mut(), most, provider_now, &mut last_stamp);
            }
            Step::End(which, answer) => model.end(store.as_mut(), which, answer),
            Step::Event(event) => model.event(store.as_mut(), event),
            Step::Drain(most_batches) => model.drain(store.as_mut(), most_batches),
            Step::Look(read) => model.look(store.as_mut(), &read),
            Step::Crash => {
                drop(store);
                store = open(folder.path());
                let unknown: u64 = models.iter_mut().map(Model::crash).sum();
                assert_eq!(
                    change(store.as_mut(), |store| store.recover(&HashMap::new(), at(7))).unwrap(),
                    unknown
                );
            }
        }
        for model in &models {
            let record = store.run(&model.run).unwrap();
            assert!(record.counts.balanced());
            assert_eq!((record.counts, record.state), (model.counts(), model.state.clone()));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_ledger_agrees_with_the_model_after_every_step(steps in steps()) {
        for (_, open) in STORES {
            walk(*open, steps.clone());
        }
    }
}
