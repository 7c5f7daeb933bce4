//! A journal of requests that read, for gateways that are asked without a ledger.

use std::sync::Mutex;

use campaignd::gateway::{Journal, Pending, ReadEnd, ReadFault};

/// Names each request, and remembers how it ended.
#[derive(Default)]
pub struct TestJournal {
    requests: Mutex<Vec<(String, usize, Option<ReadEnd>)>>,
}

impl TestJournal {
    /// How many requests have begun.
    pub fn requests(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    /// Each request begun has ended, under an operation id of its own.
    pub fn assert_complete(&self) {
        let requests = self.requests.lock().unwrap();
        assert!(requests.iter().all(|(_, _, end)| end.is_some()), "{requests:?}");
    }
}

impl Journal for TestJournal {
    fn begin(&self, recipients: usize) -> Pending<'_, Result<String, ReadFault>> {
        let mut requests = self.requests.lock().unwrap();
        let operation_id = format!("look-{}", requests.len() + 1);
        requests.push((operation_id.clone(), recipients, None));
        Box::pin(std::future::ready(Ok(operation_id)))
    }

    fn end<'a>(&'a self, operation_id: &'a str, end: ReadEnd) -> Pending<'a, ()> {
        let mut requests = self.requests.lock().unwrap();
        let request = requests.iter_mut().find(|(id, ..)| id == operation_id).expect("it has begun");
        assert!(request.2.replace(end).is_none(), "{operation_id} ended twice");
        Box::pin(std::future::ready(()))
    }
}
