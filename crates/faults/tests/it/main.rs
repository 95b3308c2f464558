//! Tests of the fault suite.

mod ledger;
