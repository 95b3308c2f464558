//! The files of the page, in the program.

use axum::http::header;
use axum::response::{IntoResponse, Response};

/// One file.
#[derive(Clone, Copy, Debug)]
pub(super) struct File {
    pub(super) path: &'static str,
    content_type: &'static str,
    text: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

pub(super) const FILES: [File; 14] = [
    File { path: "/", content_type: HTML, text: include_str!("page/index.html") },
    File { path: "/app.css", content_type: CSS, text: include_str!("page/app.css") },
    File { path: "/icon.svg", content_type: SVG, text: include_str!("page/icon.svg") },
    File { path: "/app.js", content_type: JAVASCRIPT, text: include_str!("page/app.js") },
    File { path: "/command.js", content_type: JAVASCRIPT, text: include_str!("page/command.js") },
    File { path: "/detail.js", content_type: JAVASCRIPT, text: include_str!("page/detail.js") },
    File { path: "/dom.js", content_type: JAVASCRIPT, text: include_str!("page/dom.js") },
    File { path: "/faults.js", content_type: JAVASCRIPT, text: include_str!("page/faults.js") },
    File { path: "/feed.js", content_type: JAVASCRIPT, text: include_str!("page/feed.js") },
    File { path: "/filter.js", content_type: JAVASCRIPT, text: include_str!("page/filter.js") },
    File { path: "/list.js", content_type: JAVASCRIPT, text: include_str!("page/list.js") },
    File { path: "/panels.js", content_type: JAVASCRIPT, text: include_str!("page/panels.js") },
    File { path: "/publish.js", content_type: JAVASCRIPT, text: include_str!("page/publish.js") },
    File { path: "/tabs.js", content_type: JAVASCRIPT, text: include_str!("page/tabs.js") },
];

impl File {
    pub(super) fn response(self) -> Response {
        ([(header::CONTENT_TYPE, self.content_type)], self.text).into_response()
    }
}
