//! The function under an attribute, and what becomes of it.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::{Attribute, Error, Result};

use crate::args::Args;
use crate::function::Function;

/// Workers of a test that does not say how many it wants.
const TEST_WORKERS: usize = 2;

/// What kind of function the runtime is started for.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Entry {
    Main,
    Test,
}

impl Entry {
    /// Expands the attribute; what is wrong becomes a `compile_error!` at its place, beside a
    /// function of the same signature, so that it is the only error.
    pub(crate) fn expand(self, args: TokenStream, item: TokenStream) -> TokenStream {
        let function = match syn::parse2::<Function>(item) {
            Ok(function) => function,
            Err(error) => return error.into_compile_error(),
        };
        let args = syn::parse2::<Args>(args).and_then(|args| {
            self.check(&function)?;
            Ok(args)
        });
        match args {
            Ok(args) => self.start_runtime(&args, &function),
            Err(error) => function.with_error(&error),
        }
    }

    fn attribute(self) -> &'static str {
        match self {
            Entry::Main => "#[tenter::main]",
            Entry::Test => "#[tenter::test]",
        }
    }

    /// Refuses what can not be started.
    fn check(self, function: &Function) -> Result<()> {
        let sig = &function.sig;
        let attribute = self.attribute();
        let refuse = |span: Span, message: &str| {
            Err(Error::new(span, format!("the function under `{attribute}` {message}")))
        };
        if sig.asyncness.is_none() {
            return refuse(sig.fn_token.span, "must be `async`");
        }
        if let Some(token) = &sig.constness {
            return refuse(token.span, "can not be `const`");
        }
        if let Some(token) = &sig.unsafety {
            return refuse(token.span, "can not be `unsafe`");
        }
        if let Some(abi) = &sig.abi {
            return refuse(abi.extern_token.span, "can not be `extern`");
        }
        if !sig.generics.params.is_empty() || sig.generics.where_clause.is_some() {
            return refuse(sig.ident.span(), "can not be generic: nobody names its parameters");
        }
        if !sig.inputs.is_empty() || sig.variadic.is_some() {
            return refuse(sig.ident.span(), "can not take arguments: nobody passes them");
        }
        if self == Entry::Test {
            if let Some(test) = function.attrs.iter().find(|attr| is_test(attr)) {
                let message = format!("`{attribute}` makes a `#[test]` itself: remove this one");
                return Err(Error::new(test.pound_token.spans[0], message));
            }
        }
        Ok(())
    }

    /// Writes the function that builds a runtime and waits for the body in it. Its first statement
    /// is where a worker process of a pool, which runs the same program, goes its own way.
    ///
    /// The body stays an `async fn` of the same name and return type inside it: types are inferred,
    /// and errors are worded, as without the attribute.
    fn start_runtime(self, args: &Args, function: &Function) -> TokenStream {
        let Function { attrs, vis, sig, body } = function;
        let krate = args.krate();
        let name = &sig.ident;
        let (test, workers) = match self {
            Entry::Main => (None, None),
            Entry::Test => (Some(quote!(#[::core::prelude::v1::test])), Some(TEST_WORKERS)),
        };
        let enter = match self {
            Entry::Main => quote!(enter_main()),
            Entry::Test => {
                let path = quote!(::core::module_path!(), "::", ::core::stringify!(#name));
                quote!(enter_test(::core::concat!(#path)))
            }
        };
        let calls = args.builder_calls(workers);
        let expect = format!("{}: the runtime can not be built", self.attribute());
        let mut outer = sig.clone();
        outer.asyncness = None;
        quote! {
            #(#attrs)*
            #test
            #vis #outer {
                #krate::__private::#enter;

                #[allow(clippy::unused_async)]
                #sig #body

                let runtime = #krate::Runtime::builder() #calls .build();
                runtime.expect(#expect).block_on(#name())
            }
        }
    }
}

/// Tells whether `attr` is a `#[test]`, whatever crate's.
fn is_test(attr: &Attribute) -> bool {
    attr.path().segments.last().is_some_and(|last| last.ident == "test")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expands `item` under an attribute with `args`, both as source text.
    fn expanded(entry: Entry, args: &str, item: &str) -> String {
        let args = args.parse().expect("the arguments are Rust tokens");
        let item = item.parse().expect("the item is Rust tokens");
        entry.expand(args, item).to_string()
    }

    #[track_caller]
    fn assert_refused(entry: Entry, args: &str, item: &str, message: &str) {
        let code = expanded(entry, args, item);
        assert!(code.contains("compile_error"), "accepted: {code}");
        assert!(code.contains(message), "not the message `{message}`: {code}");
        assert!(!code.contains("Runtime"), "starts a runtime all the same: {code}");
    }

    #[track_caller]
    fn assert_calls(entry: Entry, args: &str, calls: &str) {
        let code = expanded(entry, args, "async fn main() {}").replace(' ', "");
        assert!(code.contains(&format!("Runtime::builder(){calls}.build()")), "{code}");
    }

    #[test]
    fn what_can_not_be_started_is_refused() {
        for entry in [Entry::Main, Entry::Test] {
            assert_refused(entry, "", "fn main() {}", "must be `async`");
            assert_refused(entry, "", "async fn main(a: u8) {}", "can not take arguments");
            assert_refused(entry, "", "async fn main(&self) {}", "can not take arguments");
            assert_refused(entry, "", "async fn main<T>() {}", "can not be generic");
            assert_refused(entry, "", "async fn main() where u8: Copy {}", "can not be generic");
            assert_refused(entry, "", "async unsafe fn main() {}", "can not be `unsafe`");
            assert_refused(entry, "", "async extern \"C\" fn main() {}", "can not be `extern`");
            assert_refused(entry, "", "struct Main;", "expected");
            assert_refused(entry, "", "async fn main();", "expected");
        }
    }

    #[test]
    fn a_test_under_a_second_test_attribute_is_refused() {
        let item = "#[test] async fn name() {}";
        assert_refused(Entry::Test, "", item, "makes a `#[test]` itself");
        assert_refused(Entry::Test, "", "#[tokio::test] async fn name() {}", "makes a `#[test]`");
        assert!(!expanded(Entry::Test, "", "#[ignore] async fn name() {}").contains("error"));
    }

    #[test]
    fn an_option_that_does_not_exist_is_refused_with_a_list_of_those_that_do() {
        let item = "async fn main() {}";
        assert_refused(Entry::Main, "workers = 2", item, "unknown option `workers`");
        assert_refused(Entry::Main, "workers = 2", item, "`worker_threads`");
        assert_refused(Entry::Main, "flavor = \"x\"", item, "unknown option `flavor`");
        assert_refused(Entry::Main, "4", item, "expected an option");
        assert_refused(Entry::Main, "\"worker_threads\"", item, "expected an option");
    }

    #[test]
    fn a_value_that_an_option_can_not_take_is_refused() {
        let item = "async fn main() {}";
        let at_least_one = "takes an integer of at least 1";
        for name in ["worker_threads", "max_blocking_threads", "thread_stack_size"] {
            for value in ["0", "0usize", "0x0", "-1", "1.5", "\"2\"", "true", "2u8", "1 + 1"] {
                assert_refused(Entry::Main, &format!("{name} = {value}"), item, at_least_one);
            }
        }
        let huge = "worker_threads = 99999999999999999999999";
        assert_refused(Entry::Main, huge, item, "`worker_threads`: number too large");
        assert_refused(Entry::Main, "thread_name = 7", item, "takes a string");
        assert_refused(Entry::Main, "thread_name = \"a\\0\"", item, "can not hold a NUL");
        assert_refused(Entry::Main, "crate = 7", item, "takes a path");
        assert_refused(Entry::Main, "crate = \"a b\"", item, "unexpected token");
    }

    #[test]
    fn an_option_without_a_value_or_given_twice_is_refused() {
        let item = "async fn main() {}";
        assert_refused(Entry::Main, "worker_threads", item, "needs a value");
        assert_refused(Entry::Main, "worker_threads, crate = a", item, "needs a value");
        assert_refused(Entry::Main, "worker_threads(2)", item, "expected `=`");
        assert_refused(Entry::Main, "worker_threads = ", item, "end of input");
        assert_refused(Entry::Main, "worker_threads = 1, worker_threads = 1", item, "given twice");
        assert_refused(Entry::Main, "crate = a, crate = b", item, "given twice");
        assert_refused(Entry::Main, "worker_threads = 1 crate = b", item, "expected `,`");
    }

    #[test]
    fn options_become_calls_on_the_builder() {
        assert_calls(Entry::Main, "", "");
        assert_calls(Entry::Main, "worker_threads = 4,", ".worker_threads(4)");
        assert_calls(Entry::Main, "worker_threads = a::B", ".worker_threads(a::B)");
        assert_calls(
            Entry::Main,
            "thread_name = \"t\", max_blocking_threads = 8usize, thread_stack_size = 0x10000",
            ".thread_name(\"t\").max_blocking_threads(8usize).thread_stack_size(0x10000)",
        );
    }

    #[test]
    fn a_test_has_two_workers_unless_it_says_otherwise() {
        assert_calls(Entry::Test, "", ".worker_threads(2usize)");
        assert_calls(Entry::Test, "worker_threads = 3", ".worker_threads(3)");
    }

    #[test]
    fn the_crate_is_found_where_the_attribute_says() {
        for (args, path) in [("", "::tenter"), ("crate = a::b", "a::b"), ("crate = \"::c\"", "::c")]
        {
            let code = expanded(Entry::Main, args, "async fn main() {}").replace(' ', "");
            assert!(code.contains(&format!("={path}::Runtime::builder")), "{code}");
        }
    }

    #[test]
    fn a_worker_process_is_diverted_before_anything_else() {
        let code = expanded(Entry::Main, "crate = a", "async fn main() {}").replace(' ', "");
        assert!(code.contains("fnmain(){a::__private::enter_main();"), "{code}");
        let code = expanded(Entry::Test, "", "async fn name() {}").replace(' ', "");
        let enter = "fnname(){::tenter::__private::enter_test(::core::concat!(\
                     ::core::module_path!(),\"::\",::core::stringify!(name)));";
        assert!(code.contains(enter), "{code}");
    }

    #[test]
    fn attributes_visibility_and_return_type_stay() {
        let item = "#[ignore] pub(crate) async fn name() -> Result<(), E> { Ok(()) }";
        let code = expanded(Entry::Test, "", item);
        let outer = "pub (crate) fn name () -> Result < () , E >";
        assert!(code.contains("# [ignore]"), "{code}");
        assert!(code.contains(outer), "{code}");
    }
}
