/* What ThreadSanitizer is told of volatile accesses, which LLVM can tell apart: nothing. Who makes
 * them means them to race. Here that is crossbeam-deque: a thief reads a slot before it knows
 * whether it is its own, as the paper has it, and forgets what the owner wrote meanwhile, since the
 * exchange on `front` fails. */
#define IGNORED(name)                   \
    void __tsan_##name(void *address) { \
        (void)address;                  \
    }
#define OF_SIZE(size)                         \
    IGNORED(volatile_read##size)              \
    IGNORED(volatile_write##size)             \
    IGNORED(unaligned_volatile_read##size)    \
    IGNORED(unaligned_volatile_write##size)

OF_SIZE(1)
OF_SIZE(2)
OF_SIZE(4)
OF_SIZE(8)
OF_SIZE(16)
