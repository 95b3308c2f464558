//! What the service's side reports, and what of it is a gap.

use event_core::Lifecycle;
use event_core::hub::{LifecycleStream, Report as Said};

use crate::active::Active;
use crate::shared::wall;

impl Active {
    /// Hears what happens to the connection with the service.
    pub(crate) async fn watch(&self, mut lifecycle: LifecycleStream) {
        while let Some(said) = lifecycle.next().await {
            match said {
                Said::Happened(change) => self.changed(&change),
                Said::Missed(reports) => self.missed_since(0, &format!("{reports} reports were missed")),
                _ => {}
            }
        }
    }

    /// Events may be missing: those of so many milliseconds, or so.
    fn missed_since(&self, milliseconds: u64, reason: &str) {
        let (now, slack) = (wall(), self.shared.settings.slack_ms());
        self.account.lock().missed(now.saturating_sub(milliseconds).saturating_sub(slack), now, reason);
        self.missed.notify_one();
    }

    fn changed(&self, change: &Lifecycle) {
        let kept = self.shared.settings.kept;
        match change {
            Lifecycle::Disconnected { .. } => {
                let since = wall().saturating_sub(self.shared.settings.slack_ms());
                self.account.lock().interrupted(since);
            }
            Lifecycle::Connected { .. } => {
                let away = self.account.lock().restored();
                if let Some(since) = away.filter(|_| !kept) {
                    self.missed_since(wall().saturating_sub(since), "the connection to the service broke");
                }
            }
            Lifecycle::Gap(gap) if !kept => {
                let lasted = u64::try_from(gap.lasted.as_millis()).unwrap_or(u64::MAX);
                self.missed_since(lasted, "the connection to the service broke");
            }
            Lifecycle::PossibleLoss { .. } => {
                self.missed_since(0, "one event may have been given out and lost");
            }
            Lifecycle::SubscriptionRecreated { .. } => {
                self.missed_since(0, "the service made the subscription anew");
            }
            Lifecycle::Problem(error) | Lifecycle::SubscriptionLost { error, .. } => {
                self.shared.problem(error.duplicate());
            }
            _ => {}
        }
    }
}
