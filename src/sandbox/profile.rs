//! The lines of servers that the sandbox imitates, and where they differ. What is not named here
//! they do alike.

use super::answer::Error;

/// A server that the sandbox imitates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// OpenIM's main line.
    #[default]
    Main,
    /// OpenIM's released line, v3.8.3-patch.16.
    Patch16,
}

/// A part of the server that others call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    Auth,
    Message,
}

impl Profile {
    /// An error that one of the server's parts raises: where it has no detail the released line says
    /// its name again.
    pub fn raised(self, code: i64, name: &'static str, detail: impl Into<String>) -> Error {
        let detail = detail.into();
        match self {
            Profile::Patch16 if detail.is_empty() => Error::new(code, name, name),
            _ => Error::new(code, name, detail),
        }
    }

    /// What is answered when a part cannot be reached: the released line lets the raw code through.
    pub fn unreachable(self, service: Service) -> Error {
        match (self, service) {
            (Profile::Patch16, _) => {
                Error::new(14, "connection error: desc = \"transport: Error while dialing\"", "")
            }
            (Profile::Main, Service::Auth) => Error::new(
                500,
                "grpc service auth-rpc-service down, grpc message no children to pick from",
                "",
            ),
            (Profile::Main, Service::Message) => Error::new(
                500,
                "grpc service msg-rpc-service down, grpc message no children to pick from",
                "",
            ),
        }
    }

    /// An unknown group, told by the part that keeps them.
    pub fn no_such_group(self) -> Error {
        Error::not_found(match self {
            Profile::Main => "groupID not found",
            Profile::Patch16 => "mongo: no documents in result",
        })
    }

    /// Whether a message may have such a content.
    pub fn takes_content(self, content_type: i32) -> bool {
        self == Profile::Main || ![114, 118].contains(&content_type)
    }

    /// Whether a text that says it is a notification passes.
    pub fn takes_any_notification(self) -> bool {
        self == Profile::Main
    }

    /// Whether the sender of a message to a user must be registered.
    pub fn knows_senders(self) -> bool {
        self == Profile::Main
    }

    /// Whether someone who opted out comes back as a result without ids, not as an error.
    pub fn hides_opting_out(self) -> bool {
        self == Profile::Patch16
    }

    /// How long a recipient's option stays as it was for those who were just written to, in
    /// milliseconds.
    pub fn option_sticks_ms(self) -> i64 {
        if self == Profile::Patch16 { 300_000 } else { 0 }
    }

    /// How long a newly registered id still counts as unknown to those who send, in milliseconds.
    pub fn newcomers_wait_ms(self) -> i64 {
        if self == Profile::Patch16 { 5_000 } else { 0 }
    }

    /// Whether a new token of the admin replaces the one before.
    pub fn replaces_tokens(self) -> bool {
        self == Profile::Main
    }

    /// The level of the admin's account.
    pub fn admin_level(self) -> u8 {
        if self == Profile::Patch16 { 3 } else { 2 }
    }

    /// The longest request whose end is not cut off, in bytes.
    pub fn longest_request(self) -> usize {
        if self == Profile::Main { 16 << 20 } else { usize::MAX }
    }

    /// Why a message of so many bytes cannot be passed on, if it cannot.
    pub fn too_large(self, bytes: usize) -> Option<Error> {
        if self == Profile::Main {
            return None;
        }
        if bytes > 8 << 20 {
            let detail = format!("grpc: received message larger than max ({bytes} vs. 8388608)");
            Some(Error::new(8, "grpc: received message larger than max", detail))
        } else if bytes > 1_000_000 {
            let detail = format!(
                "kafka: invalid configuration (Attempt to produce message larger than configured \
                 Producer.MaxMessageBytes: {bytes} > 1000000)"
            );
            Some(Error::new(500, "ServerInternalError", detail))
        } else {
            None
        }
    }
}
