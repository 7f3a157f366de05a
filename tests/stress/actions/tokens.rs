//! Trees of cancel tokens.

use tenter::CancelToken;

use crate::ensure;
use crate::outside::Delay;
use crate::random::Random;
use crate::world::Ctx;

/// A tree of tokens with a task waiting at each; a part of it is cancelled, and then all of it.
pub(super) async fn cancels(ctx: Ctx, seed: u64, nodes: u8, delay: Delay) {
    let mut random = Random::new(seed);
    let mut tokens = vec![(CancelToken::new(), 0)];
    for _ in 1..nodes {
        let parent = random.below(tokens.len() as u64) as usize;
        tokens.push((tokens[parent].0.child(), parent));
    }
    let waiters: Vec<_> = (tokens.iter().enumerate())
        .map(|(number, (token, _))| {
            let token = token.clone();
            ctx.helper("waiter for a token", async move {
                if number % 2 == 0 {
                    token.cancelled().await;
                } else {
                    let never = token.run_until(std::future::pending::<()>()).await;
                    ensure!(never.is_none(), "what is pending returned");
                }
                ensure!(token.is_cancelled(), "a token wakes, and is not cancelled");
            })
        })
        .collect();
    let chosen = random.below(tokens.len() as u64) as usize;
    let (token, outside) = (tokens[chosen].0.clone(), random.one_in(2));
    if outside {
        ctx.world.once_outside(delay, move || token.cancel());
        tokens[chosen].0.cancelled().await;
    } else {
        token.cancel();
    }
    // A child has a higher number than its parent.
    let mut is_below = vec![false; tokens.len()];
    for (number, (token, parent)) in tokens.iter().enumerate() {
        is_below[number] = number == chosen || (number > 0 && is_below[*parent]);
        // Who sees a mark need not see those below it yet, unless it was woken, or has set them.
        let is_right = token.is_cancelled() == is_below[number] || (is_below[number] && outside);
        ensure!(is_right, "token {number} of {tokens:?}, when {chosen} is cancelled");
    }
    tokens[0].0.cancel();
    for waiter in waiters {
        waiter.join().await;
    }
}
