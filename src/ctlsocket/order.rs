//! What the answer to an order says: whether it was carried out, and what there is to tell.
//!
//! The first line is `done`, or `failed` and the exit status that tells why. The others are for people.

use crate::failure::{Exit, Failure};

const DONE: &str = "done";
const FAILED: &str = "failed ";

/// How an order ended, as the answer has it.
pub fn report(outcome: &Result<String, Failure>) -> String {
    match outcome {
        Ok(text) => format!("{DONE}\n{text}\n"),
        Err(failure) => format!("{FAILED}{}\n{failure}\n", failure.exit as u8),
    }
}

/// The same, read from the answer; nothing if it is none to an order.
pub fn outcome(answer: &str) -> Option<Result<String, Failure>> {
    let (first, text) = answer.strip_suffix('\n')?.split_once('\n')?;
    if first == DONE {
        return Some(Ok(text.to_owned()));
    }
    let number = first.strip_prefix(FAILED)?.parse().ok()?;
    Some(Err(Failure {
        // Of a newer daemon, perhaps.
        exit: Exit::of(number).unwrap_or(Exit::System),
        message: text.to_owned(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_an_order_ended_reads_back() {
        let text = "the files were read again\nwarning: such a key";
        let done = outcome(&report(&Ok(text.to_owned()))).unwrap();
        assert_eq!(done.unwrap(), text);
        for exit in [Exit::Configuration, Exit::System, Exit::Permission] {
            let message = text.to_owned();
            let failed = outcome(&report(&Err(Failure { exit, message })));
            let failure = failed.unwrap().unwrap_err();
            assert_eq!((failure.exit, &*failure.message), (exit, text));
        }
    }

    #[test]
    fn an_answer_to_something_else_is_none() {
        for answer in [
            "",
            "done",
            "done\n",
            "failed\nwhy\n",
            "failed x\nwhy\n",
            "alone\nyes\n",
        ] {
            assert!(outcome(answer).is_none(), "{answer:?}");
        }
        assert!(
            matches!(outcome("failed 99\nwhy\n"), Some(Err(failure)) if failure.exit == Exit::System)
        );
    }
}
