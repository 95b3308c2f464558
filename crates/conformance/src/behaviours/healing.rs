//! Links that repair themselves: they say so, say what may be missing, and keep their subscriptions.

use event_core::transport::{Guarantee, Inbound};

use super::offered;
use crate::rig::{Rig, event};
use crate::subject::Bench;
use crate::verdict::{Verdict, ensure};

pub(crate) async fn repaired(bench: Bench) -> Verdict {
    let mut rig = Rig::subscribed(&bench, offered(&bench.transport().capabilities()), 3).await?;
    bench.deliver(&event(1)?).await?;
    ensure!(rig.numbers(1).await? == [1], "something else came");
    rig.news.clear();
    bench.cut().await?;
    rig.news_of("word of the cut", |news| matches!(news, Inbound::Interrupted(_) | Inbound::Problem(_)))
        .await?;
    if rig.news.iter().any(|news| matches!(news, Inbound::Interrupted(_))) {
        rig.news_of("word of the repair", |news| matches!(news, Inbound::Restored { .. })).await?;
        let gap = rig.news.iter().position(|news| matches!(news, Inbound::Gap(_)));
        let restored = rig.news.iter().position(|news| matches!(news, Inbound::Restored { .. }));
        if rig.capabilities.guarantees.contains(Guarantee::AtMostOnce) {
            ensure!(gap.is_some(), "what may be missing is not told: {:?}", rig.news);
            ensure!(gap < restored, "the repair is told before the gap: {:?}", rig.news);
        }
    }
    ensure!(rig.errors.is_empty(), "a link that heals itself ends with {:?}", rig.errors);
    Ok(())
}

pub(crate) async fn keeps(bench: Bench) -> Verdict {
    let mut rig = Rig::subscribed(&bench, offered(&bench.transport().capabilities()), 10).await?;
    for n in 0..3 {
        rig.news.clear();
        bench.cut().await?;
        rig.news_of("word of the cut", |news| matches!(news, Inbound::Interrupted(_) | Inbound::Problem(_)))
            .await?;
        if rig.news.iter().any(|news| matches!(news, Inbound::Interrupted(_))) {
            rig.news_of("word of the repair", |news| matches!(news, Inbound::Restored { .. })).await?;
            let all =
                |news: &Inbound| matches!(news, Inbound::Restored { resubscribed } if *resubscribed == 1);
            ensure!(rig.news.iter().any(all), "the repair counts something else: {:?}", rig.news);
        }
        bench.deliver(&event(n)?).await?;
        ensure!(rig.numbers(1).await? == [n], "something else came");
    }
    Ok(())
}
