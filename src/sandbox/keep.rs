//! A file in which a world keeps what happened in it, so that its truth outlives the process, however
//! that ends: a line for each change, written before anyone is told of it.
//!
//! What was being written when the process was killed was told to nobody, and is cut off.

use std::{
    borrow::Cow,
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    archive::conversation_id,
    truth::{Heading, Substance, Ticket},
    world::State,
};

/// Something that happened. Times are Unix milliseconds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Change<'a> {
    TokenIssued {
        at: i64,
    },
    TokensExpired {
        at: i64,
    },
    TokensForgotten,
    Registered {
        id: Cow<'a, str>,
        at: i64,
    },
    ReceiveOption {
        id: Cow<'a, str>,
        option: u8,
        at: i64,
        known: bool,
    },
    Blocked {
        owner: Cow<'a, str>,
        blocked: Cow<'a, str>,
    },
    Request {
        operation_id: Cow<'a, str>,
        sender: Cow<'a, str>,
        group: Option<Cow<'a, str>>,
        substance: Cow<'a, Substance>,
        send_time: Option<i64>,
        begun_at: i64,
    },
    Messages {
        request: Ticket,
        messages: Vec<Accepted>,
    },
    /// A single message got through.
    GotThrough {
        operation_id: Cow<'a, str>,
        at: i64,
    },
    Revoked {
        conversation: Cow<'a, str>,
        seq: i64,
        at: i64,
    },
    WaitingLost {
        at: i64,
    },
    StoredAgain {
        count: u32,
        at: i64,
    },
    Restored {
        then: i64,
        at: i64,
    },
    ReceivedForgotten,
}

/// A message that was accepted for a recipient at a place of its request.
#[derive(Debug, Serialize, Deserialize)]
pub struct Accepted {
    pub recipient: String,
    pub place: usize,
    pub at: i64,
    /// None: never.
    pub stored_at: Option<i64>,
}

/// The file is no such file, or cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot keep the truth in {}: {source}", .path.display())]
pub struct KeepError {
    path: PathBuf,
    source: io::Error,
}

/// The file, open for what comes.
#[derive(Debug)]
pub struct Keep(File);

impl Keep {
    /// Opens the file and lets everything happen again that it tells.
    pub(super) fn open(path: &Path, state: &mut State) -> Result<Keep, KeepError> {
        let fault = |source| KeepError { path: path.to_owned(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(fault)?;
        let whole = replay(&mut file, state).map_err(fault)?;
        file.set_len(whole).map_err(fault)?;
        file.seek(SeekFrom::End(0)).map_err(fault)?;
        Ok(Keep(file))
    }

    fn write(&mut self, change: &Change<'_>) -> io::Result<()> {
        let mut line = serde_json::to_vec(change)?;
        line.push(b'\n');
        self.0.write_all(&line)
    }
}

/// Lets it happen, in order, and gives the length of the whole lines.
fn replay(file: &mut File, state: &mut State) -> io::Result<u64> {
    let mut reader = BufReader::new(file);
    let mut whole = 0;
    let mut line = Vec::new();
    loop {
        line.clear();
        let length = reader.read_until(b'\n', &mut line)?;
        if !line.ends_with(b"\n") {
            return Ok(whole);
        }
        let change: Change<'_> = serde_json::from_slice(&line).map_err(|error| {
            io::Error::new(io::ErrorKind::InvalidData, format!("at byte {whole}: {error}"))
        })?;
        state.apply(&change);
        whole += length as u64;
    }
}

impl State {
    /// Lets something happen, and keeps it.
    pub fn change(&mut self, change: &Change<'_>) {
        self.note(change);
        self.apply(change);
    }

    /// Keeps what has happened already. A world that cannot keep its truth answers nobody any more.
    pub fn note(&mut self, change: &Change<'_>) {
        if let Some(keep) = &mut self.keep
            && let Err(error) = keep.write(change)
        {
            tracing::error!(%error, "the sandbox cannot keep its truth; it answers nobody any more");
            self.is_broken = true;
        }
    }

    fn apply(&mut self, change: &Change<'_>) {
        let State { users, tokens, truth, archive, partitions, statuses, .. } = self;
        match change {
            Change::TokenIssued { at } => {
                tokens.issue(self.seed, instant(*at));
            }
            Change::TokensExpired { at } => tokens.expire_all(instant(*at)),
            Change::TokensForgotten => tokens.forget_all(),
            Change::Registered { id, at } => {
                users.register(id, *at);
            }
            Change::ReceiveOption { id, option, at, known } => {
                users.set_receive_option(id, *option, *at, *known);
            }
            Change::Blocked { owner, blocked } => users.block(owner, blocked),
            Change::Request { operation_id, sender, group, substance, send_time, begun_at } => {
                truth.begin(Heading {
                    operation_id,
                    sender,
                    group: group.as_deref(),
                    substance: (**substance).clone(),
                    send_time: *send_time,
                    begun_at: *begun_at,
                });
            }
            Change::Messages { request, messages } => {
                for message in messages {
                    truth.note(*request, &message.recipient, message.place, message.at, message.stored_at);
                    if let (Some(sent), Some(stored_at)) = (truth.request(*request), message.stored_at) {
                        let session_type = sent.substance.session_type;
                        let group = sent.group.as_deref();
                        partitions.pass(
                            &conversation_id(session_type, &sent.sender, group, &message.recipient),
                            stored_at,
                        );
                    }
                }
            }
            Change::GotThrough { operation_id, at } => statuses.note(operation_id, *at),
            Change::Revoked { conversation, seq, at } => {
                archive.catch_up(truth);
                archive.revoke(conversation, *seq, *at);
            }
            Change::WaitingLost { at } => {
                archive.catch_up(truth);
                archive.lose_waiting(*at);
                truth.lose_waiting(*at);
                partitions.empty();
            }
            Change::StoredAgain { count, at } => {
                archive.catch_up(truth);
                archive.store_again(truth, *count as usize, *at);
            }
            Change::Restored { then, at } => {
                archive.catch_up(truth);
                archive.restore(*then, *at);
            }
            Change::ReceivedForgotten => truth.forget(),
        }
    }
}

fn instant(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or_default()
}
