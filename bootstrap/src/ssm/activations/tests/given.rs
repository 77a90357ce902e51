//! Activations that the inventory gives.

use super::*;

fn given(id: TextSource, code: TextSource) -> Run {
    let mut dev = environment("dev");
    dev.activation = ActivationSource::Given { id, code };
    Run::of(dev, 5)
}

const ID: &str = "0f2e9f5c-7d30-4b4f-9d3f-3a5f6f1c2b7e";
const CODE: &str = "Fq3pzR8uXhJ2mN5tYv7w";

#[tokio::test]
async fn a_given_activation_is_read_from_its_files_and_never_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let (id, code) = (folder.path().join("id"), folder.path().join("code"));
    std::fs::write(&id, format!("{ID}\n")).unwrap();
    std::fs::write(&code, format!("  {CODE}\r\nnot this\n")).unwrap();
    let run = given(TextSource::File(id), TextSource::File(code));
    for handout in run.crowd(5).await {
        let handout = handout.unwrap();
        assert_eq!((handout.id.as_str(), handout.code.expose_secret()), (ID, CODE));
    }
    assert!(!run.activations.found_full(&run.dev, ID), "there is no other");
    assert!(run.activations.close().await.is_empty());
    assert!(run.fake.calls().is_empty() && run.ledger.lock().unwrap().is_empty());
    assert!(matches!(run.activations.acquire(&run.dev).await, Err(ActivationError::Closed(_))));
}

async fn given_error(id: TextSource, code: TextSource) -> String {
    let run = given(id, code);
    let Err(ActivationError::Given { source, .. }) = run.activations.acquire(&run.dev).await else {
        panic!("it was taken")
    };
    source.to_string()
}

#[tokio::test]
async fn a_given_activation_that_cannot_be_read_says_where_it_should_be() {
    let plain = |text: &str| TextSource::Plain(text.to_owned());
    let missing = TextSource::File("/nonexistent/code".into());
    assert_eq!(
        given_error(plain(ID), missing).await,
        "cannot read the activation's code from /nonexistent/code"
    );
    let unset = TextSource::Variable("BOOTSTRAP_TEST_NOT_SET".to_owned());
    assert_eq!(
        given_error(unset, plain(CODE)).await,
        "the activation's id should be in the variable BOOTSTRAP_TEST_NOT_SET, which is not set"
    );
    assert_eq!(
        given_error(plain(" \n"), plain(CODE)).await,
        "the activation's id from the inventory is empty"
    );
    assert_eq!(
        given_error(plain(ID), plain("short")).await,
        "the activation's code from the inventory has 5 characters; AWS's have 20 to 250"
    );
}

#[tokio::test]
async fn swapped_id_and_code_do_not_show_the_code() {
    let run = given(TextSource::Plain(CODE.to_owned()), TextSource::Plain(ID.to_owned()));
    let error = run.activations.acquire(&run.dev).await.unwrap_err();
    assert!(error.hint().contains("swapped"), "{}", error.hint());
    assert!(!format!("{error} {error:?}").contains(CODE), "{error:?}");
}
