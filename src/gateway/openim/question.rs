//! Requests that read: each is written down before it leaves, and repeated once with another token where
//! its own is refused.
//!
//! Knows: what stands around every such request. Must never know: what is asked.

use serde::{Serialize, de::DeserializeOwned};

use super::{OpenIM, classify, encode, no_answer};
use crate::{
    gateway::{Journal, ReadEnd, ReadFault, scrub::Scrub},
    run::reply::{Answer, Cause, Reply},
};

/// A request that reads.
pub struct Question<'a> {
    pub path: &'a str,
    /// About so many recipients.
    pub recipients: usize,
    /// The request whose operation id it goes by, where the server takes that for the question;
    /// else it goes by its own.
    pub about: Option<&'a str>,
}

impl OpenIM {
    /// Makes a request that reads about so many recipients. The repetition is a request of its own.
    pub(super) async fn read<T: DeserializeOwned>(
        &self,
        path: &str,
        journal: &dyn Journal,
        recipients: usize,
        body: &impl Serialize,
    ) -> Result<T, ReadFault> {
        self.ask(Question { path, recipients, about: None }, journal, body).await
    }

    /// Asks a question.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        question: Question<'_>,
        journal: &dyn Journal,
        body: &impl Serialize,
    ) -> Result<T, ReadFault> {
        let body = encode(body);
        let mut answer = match self.read_recorded(&question, journal, body.clone()).await? {
            Ok(data) => return Ok(data),
            Err(answer) => answer,
        };
        if matches!(answer.reply, Reply::NothingDone(Cause::Token, _)) {
            answer = match self.read_recorded(&question, journal, body).await? {
                Ok(data) => return Ok(data),
                Err(answer) => answer,
            };
        }
        Err(ReadFault::of(answer.reply))
    }

    async fn read_recorded<T: DeserializeOwned>(
        &self,
        question: &Question<'_>,
        journal: &dyn Journal,
        body: Vec<u8>,
    ) -> Result<Result<T, Answer>, ReadFault> {
        let operation_id = journal.begin(question.recipients).await?;
        let read = self.read_once(question.path, question.about.unwrap_or(&operation_id), body).await;
        let end = match &read {
            Ok(_) => ReadEnd::answered(Some(0)),
            Err(answer) => ReadEnd::unanswered(answer),
        };
        journal.end(&operation_id, end).await;
        Ok(read)
    }

    async fn read_once<T: DeserializeOwned>(
        &self,
        path: &str,
        operation_id: &str,
        body: Vec<u8>,
    ) -> Result<T, Answer> {
        let token = self.token().await?;
        let raw = self.post(path, operation_id, Some(&token), body).await.map_err(no_answer)?;
        match classify::read(&raw, &Scrub { secrets: &self.secrets(&token) }) {
            Ok(data) => {
                token.has_worked();
                Ok(data)
            }
            Err(answer) => Err(self.mind_token(&token, answer).await),
        }
    }
}
