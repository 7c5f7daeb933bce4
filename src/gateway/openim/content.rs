//! The content types that OpenIM sends on request, and the shape of each one's `content`.
//!
//! The server checks less than this and stores what it was given; clients then show nothing.

use serde_json::{Map, Value};

pub use crate::gateway::shape::kind_of;
use crate::gateway::shape::{Faults, Field, Shape};
use crate::{campaign::message::Step, document::Code};

/// A kind of message.
#[derive(Debug, Clone, Copy)]
pub struct ContentType {
    pub number: i64,
    pub name: &'static str,
    fields: &'static [Field],
}

/// The number of OA notifications.
pub const OA: i64 = 1400;

/// Every content type that is taken.
pub const CONTENT_TYPES: &[ContentType] = &[
    ContentType { number: 101, name: "text", fields: TEXT },
    ContentType { number: 102, name: "picture", fields: PICTURE },
    ContentType { number: 103, name: "voice", fields: VOICE },
    ContentType { number: 104, name: "video", fields: VIDEO },
    ContentType { number: 105, name: "file", fields: FILE },
    ContentType { number: 106, name: "at", fields: AT },
    ContentType { number: 110, name: "custom", fields: CUSTOM },
    ContentType { number: 114, name: "quote", fields: QUOTE },
    ContentType { number: 118, name: "markdown", fields: TEXT },
    ContentType { number: OA, name: "oa", fields: NOTIFICATION },
];

/// The server writes numbers again on their way; beyond this they would come out different.
const MAX_EXACT: i64 = 1 << 53;
/// The queue behind the server takes no message of 1,000,000 bytes.
const MAX_BYTES: usize = 1_000_000;

const COUNT: Shape = Shape::Integer { min: 0, max: MAX_EXACT };
const AT_LEAST_ONE: Shape = Shape::Integer { min: 1, max: MAX_EXACT };

const TEXT: &[Field] = &[Field::required("content", Shape::Text)];
const IMAGE: &[Field] = &[
    Field::optional("uuid", Shape::Text),
    Field::required("type", Shape::Text),
    Field::optional("size", COUNT),
    Field::required("width", AT_LEAST_ONE),
    Field::required("height", AT_LEAST_ONE),
    Field::required("url", Shape::Text),
];
const PICTURE: &[Field] = &[
    Field::optional("sourcePath", Shape::Text),
    Field::required("sourcePicture", Shape::Object(IMAGE)),
    Field::required("bigPicture", Shape::Object(IMAGE)),
    Field::required("snapshotPicture", Shape::Object(IMAGE)),
];
const VOICE: &[Field] = &[
    Field::optional("uuid", Shape::Text),
    Field::optional("soundPath", Shape::Text),
    Field::required("sourceUrl", Shape::Text),
    Field::optional("dataSize", COUNT),
    Field::required("duration", AT_LEAST_ONE),
];
const VIDEO: &[Field] = &[
    Field::optional("videoPath", Shape::Text),
    Field::optional("videoUUID", Shape::Text),
    Field::required("videoUrl", Shape::Text),
    Field::required("videoType", Shape::Text),
    Field::required("videoSize", AT_LEAST_ONE),
    Field::required("duration", AT_LEAST_ONE),
    Field::optional("snapshotPath", Shape::Text),
    Field::optional("snapshotUUID", Shape::Text),
    Field::optional("snapshotSize", COUNT),
    Field::required("snapshotUrl", Shape::Text),
    Field::required("snapshotWidth", AT_LEAST_ONE),
    Field::required("snapshotHeight", AT_LEAST_ONE),
];
const FILE: &[Field] = &[
    Field::optional("filePath", Shape::Text),
    Field::optional("uuid", Shape::Text),
    Field::required("sourceUrl", Shape::Text),
    Field::required("fileName", Shape::Text),
    Field::required("fileSize", AT_LEAST_ONE),
];
const MENTIONED: &[Field] =
    &[Field::optional("atUserID", Shape::Text), Field::optional("groupNickname", Shape::Text)];
const AT: &[Field] = &[
    Field::optional("text", Shape::Text),
    Field::required("atUserList", Shape::Texts),
    Field::optional("isAtSelf", Shape::Boolean),
    Field::optional("atUsersInfo", Shape::Objects(MENTIONED)),
    Field::optional("quoteMessage", Shape::Mapping),
];
const CUSTOM: &[Field] = &[
    Field::required("data", Shape::Text),
    Field::optional("description", Shape::Text),
    Field::optional("extension", Shape::Text),
];
const QUOTE: &[Field] =
    &[Field::optional("text", Shape::Text), Field::optional("quoteMessage", Shape::Mapping)];
const NOTIFICATION: &[Field] = &[
    Field::required("notificationName", Shape::Text),
    Field::optional("notificationFaceURL", Shape::Text),
    Field::required("notificationType", AT_LEAST_ONE),
    Field::required("text", Shape::Text),
    Field::optional("url", Shape::Text),
    Field::optional("mixType", Shape::Integer { min: 0, max: 5 }),
    Field::optional("pictureElem", Shape::Object(PICTURE)),
    Field::optional("soundElem", Shape::Object(VOICE)),
    Field::optional("videoElem", Shape::Object(VIDEO)),
    Field::optional("fileElem", Shape::Object(FILE)),
    Field::optional("ex", Shape::Text),
];

/// Checks a message's `content` against its content type.
pub fn check(content_type: &ContentType, content: &Map<String, Value>, faults: &mut Faults) {
    let mut path = vec![Step::Key("content".into())];
    let before = faults.list.len();
    faults.check_all(content_type.fields, content, &mut path, Code::Content);
    for fault in &mut faults.list[before..] {
        // A wrong type inside of the content is content that does not fit.
        fault.code = Code::Content;
    }
    // Serialising what was parsed cannot fail.
    let bytes = serde_json::to_vec(content).map_or(0, |json| json.len());
    if bytes >= MAX_BYTES {
        let message = format!("`content` is {bytes} bytes long, but less than {MAX_BYTES}");
        faults.error(path, Code::Content, message, None);
    }
}
