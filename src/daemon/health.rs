//! How a lane's gateway stands: what calls tell of it, asking the provider whether it works again, and
//! telling people and the ledger.

use jiff::{SignedDuration, Timestamp};

use super::lane::Lane;
use crate::{
    run::{breaker::Standing, quiet::QuietTime, settlement::Sign},
    store::GatewayRecord,
};

impl Lane {
    /// What a call, or a token that was fetched for it, told of the gateway.
    pub(super) async fn learn(&self, sign: Sign) {
        let (steady, now) = self.times();
        self.turns().learn(steady, now, sign);
        self.tell().await;
    }

    /// What looked like an outage, with this code, was something else.
    pub(super) async fn explained(&self, code: &str) {
        let (_, now) = self.times();
        self.turns().explained(now, code);
        self.tell().await;
    }

    /// Asks the provider, by a request that only reads, whether it works again.
    pub(super) async fn ask_provider(&self) {
        self.tell().await;
        let answer = self.gateway.works().await.map_err(|fault| fault.0);
        let (steady, now) = self.times();
        self.turns().asked(steady, now, answer);
        self.tell().await;
    }

    fn times(&self) -> (Timestamp, Timestamp) {
        (self.parts.clock.steady(), self.parts.clock.now())
    }

    /// Writes down how the gateway stands, where that has changed, and logs it. Those who tell at once take
    /// turns, so that the last one is what holds.
    async fn tell(&self) {
        let mut told = self.told.lock().await;
        let (steady, now) = self.times();
        let record = self.turns().record(steady, now);
        if same(&told, &record) {
            return;
        }
        let (name, written) = (self.name.clone(), record.clone());
        let stood = self.parts.ledger.call(move |store| store.gateway_stands(&name, &written)).await;
        if let Err(error) = stood {
            // The next change is recorded whole again.
            tracing::error!(gateway = %self.name, %error, "how it stands cannot be recorded");
        }
        self.log(&told, &record, now);
        *told = record;
    }

    fn log(&self, before: &GatewayRecord, after: &GatewayRecord, now: Timestamp) {
        let gateway = &self.name;
        match (&before.breaker, &after.breaker) {
            (before, Standing::Open { outage, until }) if !before.same_wait(&after.breaker) => {
                let seconds = until.duration_since(now).as_secs();
                tracing::warn!(
                    %gateway, code = %outage.why.code, failures = outage.failures,
                    "the provider is out of order, its runs pause; it is asked again in {seconds} s: {}",
                    outage.why.text
                );
            }
            (Standing::Open { outage, .. } | Standing::HalfOpen { outage }, Standing::Closed { .. }) => {
                let seconds = now.duration_since(outage.since).as_secs();
                tracing::info!(%gateway, "the provider works again after {seconds} s, its runs go on");
            }
            _ => {}
        }
        if let Some(quiet) = &after.quiet
            && before.quiet.as_ref().is_none_or(|before| !near(before.until, quiet.until))
        {
            let seconds = quiet.until.duration_since(now).as_secs();
            tracing::warn!(
                %gateway, code = %quiet.why.code,
                "the provider wants quiet: nothing is sent for {seconds} s: {}", quiet.why.text
            );
        }
    }
}

impl Standing {
    /// Whether both wait for the same instant after the same number of failures.
    fn same_wait(&self, other: &Standing) -> bool {
        match (self, other) {
            (Standing::Open { outage, until }, Standing::Open { outage: others, until: theirs }) => {
                outage == others && near(*until, *theirs)
            }
            (Standing::Open { .. }, _) | (_, Standing::Open { .. }) => false,
            _ => self == other,
        }
    }
}

/// Whether two instants of the time of day are the same instant of the steady clock: between both readings
/// some time passes.
fn near(one: Timestamp, other: Timestamp) -> bool {
    one.duration_since(other).abs() < SignedDuration::from_millis(500)
}

fn same(one: &GatewayRecord, other: &GatewayRecord) -> bool {
    let quiet = |record: &GatewayRecord| record.quiet.as_ref().map(|QuietTime { until, .. }| *until);
    let same_quiet = match (quiet(one), quiet(other)) {
        (Some(one), Some(other)) => near(one, other),
        (one, other) => one == other,
    };
    same_quiet && one.breaker.same_wait(&other.breaker)
}
