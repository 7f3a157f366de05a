//! A crawler that a semaphore keeps from asking for too much at once.
//!
//! Every page is a task, so that a site of any shape is crawled side by side; a permit of the
//! semaphore is what a task must hold while it asks. The server is our own.
//!
//! ```python
//! import asyncio
//!
//! SITE = {"/": ["/1", "/2", "/3", "/4", "/5", "/6"], "/6": ["/", "/1"]}
//!
//! async def fetch(page):
//!     await asyncio.sleep(0.1)
//!     return SITE.get(page, [])
//!
//! async def crawl(page, seen, limit, group):
//!     async with limit:
//!         links = await fetch(page)
//!     print(page, "links to", links)
//!     for link in set(links) - seen:
//!         seen.add(link)
//!         group.create_task(crawl(link, seen, limit, group))
//!
//! async def main():
//!     async with asyncio.TaskGroup() as group:
//!         group.create_task(crawl("/", {"/"}, asyncio.Semaphore(3), group))
//!
//! asyncio.run(main())
//! ```

mod clock;
#[cfg(test)]
mod play;

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use clock::{Clock, SECOND};
use tenter::TaskGroup;
use tenter::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tenter::net::{TcpListener, TcpStream};
use tenter::sync::Semaphore;

/// How many requests may be on their way at once.
const REQUESTS_MAX: usize = 3;

/// The links on a page of the site.
fn links(page: &str) -> &'static str {
    match page {
        "/" => "/1 /2 /3 /4 /5 /6",
        "/6" => "/ /1",
        _ => "",
    }
}

/// The site: a line with a page's name, and a second later its links.
async fn serve(listener: TcpListener, clock: Clock) -> io::Result<()> {
    loop {
        let (mut stream, _) = listener.accept().await?;
        let clock = clock.clone();
        tenter::task::spawn_detached(async move {
            let mut page = String::new();
            BufReader::new(&stream).read_line(&mut page).await?;
            clock.sleep(SECOND).await;
            stream.write_all(links(page.trim_end()).as_bytes()).await?;
            stream.close().await
        });
    }
}

struct Crawler {
    site: SocketAddr,
    limit: Semaphore,
    seen: Mutex<BTreeSet<String>>,
}

impl Crawler {
    /// Starts a task for a page, unless there was one already.
    fn visit(self: &Arc<Self>, page: &str, group: &TaskGroup<io::Error>) {
        if self.seen.lock().unwrap().insert(page.to_owned()) {
            let (crawler, page) = (Arc::clone(self), page.to_owned());
            let their_group = group.clone();
            group.spawn(async move { crawler.crawl(&page, &their_group).await });
        }
    }

    async fn crawl(self: &Arc<Self>, page: &str, group: &TaskGroup<io::Error>) -> io::Result<()> {
        let permit = self.limit.acquire().await;
        let links = self.fetch(page).await?;
        drop(permit);
        links.split_whitespace().for_each(|link| self.visit(link, group));
        Ok(())
    }

    async fn fetch(&self, page: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect(self.site).await?;
        stream.write_all(format!("{page}\n").as_bytes()).await?;
        let mut links = String::new();
        stream.read_to_string(&mut links).await?;
        Ok(links)
    }
}

/// All pages of the site.
async fn lesson(clock: &Clock) -> io::Result<BTreeSet<String>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (site, limit) = (listener.local_addr()?, Semaphore::new(REQUESTS_MAX));
    let server = tenter::spawn(serve(listener, clock.clone()));
    let crawler = Arc::new(Crawler { site, limit, seen: Mutex::default() });
    let crawl = tenter::task_group(async |group| {
        crawler.visit("/", group);
        // The group is complete when the last page has no link that is new.
        Ok(())
    });
    crawl.await.map_err(io::Error::other)?;
    server.cancel().await;
    Ok(crawler.seen.lock().unwrap().clone())
}

fn main() -> io::Result<()> {
    tenter::run(async {
        let clock = Clock::real();
        let pages = lesson(&clock).await?;
        println!("found {pages:?}");
        println!("{} pages of a second each took {} s", pages.len(), clock.seconds());
        Ok(())
    })?
}

#[cfg(test)]
mod tests {
    use super::play::play;
    use super::*;

    #[test]
    fn every_page_is_asked_for_once_and_at_most_three_at_a_time() {
        let clock = Clock::stepped();
        // The first page alone, then its six links, as many at once as there are permits.
        let pages = play(clock.steps(&[1, 3, 3], lesson(&clock))).unwrap();
        assert_eq!((clock.seconds(), clock.most_asleep()), (3, REQUESTS_MAX));
        assert!(pages.iter().eq(["/", "/1", "/2", "/3", "/4", "/5", "/6"]), "{pages:?}");
    }
}
