//! What every kind of gateway must do for us, as one list of cases in the middle's words: on the sandbox in this
//! process, over HTTP, and on a real server where the environment names one ([`openim`]). A kind says what it
//! can; what it cannot, it must say by itself.

mod cases;
mod kinds;
mod openim;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use campaignd::{
    campaign::{Message, RecipientID, message::AddressedTo},
    clock::{Clock, SystemClock},
    gateway::{Addressees, Call, Gateway},
    run::reply::{Answer, Reply, Verdict},
    sandbox::{Faults, Filter, World},
};
use serde_json::{Map, Value};

use cases::CASES;

/// A kind of gateway, its provider, and what is known of both.
pub struct Kind {
    pub name: String,
    pub gateway: Arc<dyn Gateway>,
    /// A gateway of the kind whose provider cannot be reached.
    pub unreachable: Arc<dyn Gateway>,
    /// One with a wrong secret, where a request bears anything that is made of one.
    pub wrong: Option<Arc<dyn Gateway>>,
    /// The message of a campaign file that holds a text.
    pub message: fn(&str) -> Value,
    /// The same for whom the provider alone knows, where there is such a call.
    pub unlisted: Option<fn(&str) -> Value>,
    /// Two who are registered.
    pub users: Vec<RecipientID>,
    /// Whether an answer tells who is not registered.
    pub tells_strangers: bool,
    /// What makes the provider ask for quiet, once.
    pub throttle: Value,
    /// The truth and the faults, where the provider is ours.
    pub world: Option<Arc<World>>,
}

/// A case that does not apply is skipped with a reason.
pub type Outcome = Result<(), String>;

static CALLS: AtomicU64 = AtomicU64::new(0);

/// A text that no other case has sent.
fn mark() -> String {
    format!("conformance {}", CALLS.fetch_add(1, Ordering::Relaxed))
}

fn id(text: impl AsRef<str>) -> RecipientID {
    RecipientID::new(text).unwrap()
}

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(object) = value else { panic!("{value} is no mapping") };
    object
}

impl Kind {
    /// Runs all cases, and prints what became of each.
    pub async fn run(&self) {
        let mut skipped = 0;
        for (case, run) in CASES {
            if let Some(world) = &self.world {
                world.set_faults(Faults::default());
                world.forget_received();
            }
            match run(self).await {
                Ok(()) => eprintln!("{}: {case} ok", self.name),
                Err(reason) => {
                    skipped += 1;
                    eprintln!("{}: {case} skipped: {reason}", self.name);
                }
            }
        }
        eprintln!("{}: {} cases, {skipped} skipped", self.name, CASES.len());
        assert!(skipped < CASES.len() / 2, "{}: that is hardly a test", self.name);
    }

    fn world(&self) -> Result<&World, String> {
        self.world.as_deref().ok_or_else(|| "only the sandbox does this on demand".to_owned())
    }

    fn fail(&self, faults: Value) -> Result<&World, String> {
        let world = self.world()?;
        world.set_faults(serde_json::from_value(faults).unwrap());
        Ok(world)
    }

    /// Those who are registered, as many as a call may have.
    fn two(&self) -> &[RecipientID] {
        let most = self.gateway.dialect().max_batch_size() as usize;
        &self.users[..most.min(2)]
    }

    fn read(&self, message: Value, to: AddressedTo) -> Message {
        let (message, faults) = self.gateway.dialect().read_message(&object(message), to);
        message.unwrap_or_else(|| panic!("{}: {faults:?}", self.name))
    }

    fn call_to(&self, mark: &str, users: &[RecipientID]) -> Call {
        self.call(self.read((self.message)(mark), AddressedTo::Users), Addressees::Users(users.to_vec()))
    }

    fn call(&self, message: Message, to: Addressees) -> Call {
        let number = CALLS.fetch_add(1, Ordering::Relaxed);
        let now = SystemClock::new().now().as_millisecond();
        let stamps = self.gateway.stamps_send_time(&message).is_some();
        Call {
            operation_id: format!("conformance-{now}-{number}"),
            message: Arc::new(message),
            to,
            send_time_ms: stamps.then_some(now + number as i64),
            written_to: Default::default(),
        }
    }

    /// How often each recipient got a message that holds this text, by the sandbox's truth.
    fn taken(&self, world: &World, mark: &str) -> BTreeMap<String, usize> {
        let mut taken = BTreeMap::new();
        let mut note = |recipient: &str| *taken.entry(recipient.to_owned()).or_default() += 1;
        world.received(&Filter::default(), |message| {
            if message.content.contains(mark) {
                note(message.recipient);
            }
        });
        world.received_by_netease(&Filter::default(), None, |shown| {
            let message: Value = serde_json::from_str(shown).unwrap();
            if message["content"].to_string().contains(mark) {
                note(message["recipient"].as_str().unwrap());
            }
        });
        taken
    }
}

fn verdicts(answer: &Answer) -> &[(RecipientID, Verdict)] {
    match &answer.reply {
        Reply::Answered(verdicts) => verdicts,
        reply => panic!("not answered: {reply:?}"),
    }
}

/// Whether everyone was accepted.
fn all_accepted(answer: &Answer) -> bool {
    verdicts(answer).iter().all(|(_, verdict)| matches!(verdict, Verdict::Accepted(_)))
}
