//! What studios say all day, for pictures and for load.

const PEOPLE: [&str; 6] = ["jane.doe", "marek", "li.wei", "render-farm", "a.okafor", "pipeline"];
const SHOTS: [&str; 5] = ["sh010", "sh020", "sh035", "sh110", "sh240"];
const NOTES: [&str; 3] =
    ["warmer key light, less fog at the horizon", "final for comp", "the left hand pops at frame 1043"];

/// The event of this number, as it stands on the wire.
pub(crate) fn event(n: usize) -> String {
    let (who, shot) = (PEOPLE[n * 7 % PEOPLE.len()], SHOTS[n * 3 % SHOTS.len()]);
    let note = NOTES[n % NOTES.len()];
    let (topic, data) = match n % 7 {
        0 | 3 => ("ftrack.update", update("task", "update", &["statusid"], n)),
        1 => {
            let frame = 1001 + n % 240;
            let data =
                format!(r#"{{"shot":"{shot}","frame":{frame},"of":240,"host":"rn07","seconds":{n}.50}}"#);
            ("studio.render.progress", data)
        }
        2 => ("ftrack.update", update("assetversion", "add", &["thumbid", "version"], n)),
        4 => {
            let selection = format!(r#"[{{"entityId":"{n:08x}","entityType":"task"}}]"#);
            let data = format!(r#"{{"actionIdentifier":"studio.publish","selection":{selection}}}"#);
            ("ftrack.action.launch", data)
        }
        5 => ("studio.review.note", format!(r#"{{"shot":"{shot}","text":"{note}","by":"{who}"}}"#)),
        _ => ("ftrack.update", update("note", "add", &["text", "userid"], n)),
    };
    let source =
        format!(r#"{{"id":"{n:032x}","applicationId":"studio.pipeline","user":{{"username":"{who}"}}}}"#);
    format!(r#"{{"topic":"{topic}","data":{data},"target":"","source":{source}}}"#)
}

fn update(kind: &str, action: &str, keys: &[&str], n: usize) -> String {
    let changes: Vec<String> =
        keys.iter().map(|key| format!(r#""{key}":{{"old":null,"new":"{key}-{n}"}}"#)).collect();
    let keys: Vec<String> = keys.iter().map(|key| format!("{key:?}")).collect();
    let (keys, changes) = (keys.join(","), changes.join(","));
    let parents = r#"[{"entityType":"show","entityId":"0b5f1c11-show"}]"#;
    let entity = format!(
        r#"{{"entityType":"{kind}","action":"{action}","keys":[{keys}],"changes":{{{changes}}},"parents":{parents}}}"#
    );
    format!(r#"{{"entities":[{entity}],"pushToken":"{n:08x}"}}"#)
}
