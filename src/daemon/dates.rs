//! The dates that campaigns leave out, where a file names them: it is read whenever a slot is due, so that
//! a change of it counts at once.

use std::{collections::BTreeSet, sync::Arc};

use jiff::civil::Date;

use super::{Parts, conductor::Conductor};
use crate::{
    campaign::{Campaign, CampaignID, file::DatesFault},
    folder::read_dates,
    plan::{Hold, Standing},
};

impl Conductor {
    /// The campaign with the dates that its files name now. Where one cannot be read nothing starts: a
    /// message on a holiday cannot be taken back.
    pub async fn with_dates(
        &self,
        id: &CampaignID,
        campaign: Arc<Campaign>,
        standing: Standing,
    ) -> (Arc<Campaign>, Standing) {
        let names_file = campaign.schedules.iter().any(|schedule| schedule.except.file.is_some());
        let Some(entry) = self.catalogue.get(id).filter(|_| names_file) else { return (campaign, standing) };
        match completed(&self.parts, &entry.record.path, &campaign).await {
            Ok(campaign) => (Arc::new(campaign), standing),
            Err(why) => {
                tracing::error!(campaign = %id, "its slots wait, since the dates to leave out are not known: {why}");
                let hold = if standing.hold == Hold::None { Hold::NoDates } else { standing.hold };
                (campaign, Standing { hold, ..standing })
            }
        }
    }
}

async fn completed(parts: &Parts, campaign_path: &str, campaign: &Campaign) -> Result<Campaign, String> {
    let mut completed = campaign.clone();
    for schedule in &mut completed.schedules {
        let Some(file) = &schedule.except.file else { continue };
        let path = parts.folder.list_path(campaign_path, file).map_err(|error| format!("{file}: {error}"))?;
        let read = tokio::task::spawn_blocking(move || read_dates(&path)).await;
        let dates: BTreeSet<Date> = match read {
            Ok(Ok(dates)) => dates,
            Ok(Err(DatesFault::Missing)) => return Err(format!("there is no file {file}")),
            Ok(Err(DatesFault::Unusable(why))) => return Err(format!("{file}: {why}")),
            Err(error) => return Err(error.to_string()),
        };
        schedule.except.dates.extend(dates);
    }
    Ok(completed)
}
