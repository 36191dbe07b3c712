//! More requests than the server takes, over a Cassandra that answers and over one that does not.

use std::time::{Duration, Instant};

use tests::cassandra_node;
use tests::proxy::Proxy;

use super::kit::{Answer, Api};
use super::{orders, shop};

const IN_FLIGHT: usize = 4;
/// Four times what is worked on at a time.
const CALLERS: usize = 4 * IN_FLIGHT;

async fn all_at_once(api: &Api, path: &str) -> Vec<(Answer, Duration)> {
    let ask = async |_| {
        let started = Instant::now();
        (api.get(path).await, started.elapsed())
    };
    futures::future::join_all((0..CALLERS).map(ask)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_over_the_bound_is_refused_at_once_and_the_rest_ends_by_its_deadline() {
    let shop = shop(orders([(1, 1, "ann")])).await;
    let proxy = Proxy::to(cassandra_node::hosts().await.iter().next().unwrap().to_owned()).await;
    let address = proxy.address().to_string();
    let limits = ["--in-flight", &IN_FLIGHT.to_string(), "--deadline", "2", "--rate", "1000000 per second"];
    let api = Api::start_with(&shop, &limits, &[("CASSANDRA_HOST", &address)]).await;
    api.wait_for("/v1/buyers/ann", 200).await;

    let (mut answered, mut refused) = (0, 0);
    for (answer, _) in futures::future::join_all((0..10).map(|_| all_at_once(&api, "/v1/buyers/ann"))).await.into_iter().flatten()
    {
        if answer.status == 200 {
            answered += 1;
        } else {
            assert_eq!((answer.code().as_str(), answer.header("retry-after")), ("overloaded", "1"));
            refused += 1;
        }
    }
    assert!(answered >= IN_FLIGHT && refused > 0, "{answered} answered, {refused} refused");

    proxy.freeze();
    let (mut late, mut refused) = (Vec::new(), Vec::new());
    for (answer, took) in all_at_once(&api, "/v1/buyers/ann/orders").await {
        match answer.code().as_str() {
            "overloaded" => refused.push(took),
            "timeout" => late.push(took),
            other => panic!("{other}: {answer:?}"),
        }
    }
    assert_eq!((late.len(), refused.len()), (IN_FLIGHT, CALLERS - IN_FLIGHT));
    assert!(refused.iter().max() < late.iter().min(), "who is refused waits for none of those in flight: {refused:?}, {late:?}");
    proxy.mend();
    api.wait_for("/v1/buyers/ann/orders", 200).await;
}
