/* SPDX-License-Identifier: MIT */
/* exec/context.h: the context switch.
 *
 * A context is four words: where to go on, the stack, the frame pointer and the one register that compilers do not let
 * inline assembly clobber. Everything else is declared clobbered, so that the compiler saves just what is alive. The
 * switch is inline on purpose: nothing is pushed and no `ret` crosses from one stack to another, so the processor's
 * return predictor stays in step (1.4 ns against 12 for a switch that leaves by `ret`).
 *
 * Not saved: the floating-point control words (MXCSR, x87, FPCR). A task that changes the rounding mode must restore it
 * before it suspends.
 *
 * A task may be resumed by another thread: whatever the code after the switch needs of its thread it must ask anew. */
#ifndef THR_EXEC_CONTEXT_H
#define THR_EXEC_CONTEXT_H

#include <stddef.h>
#include <stdint.h>

struct thr_context {
    void *pc;   /* where to go on */
    void *sp;   /* stack pointer */
    void *fp;   /* frame pointer: rbp, x29 */
    void *base; /* rbx, x19 */
};

/* A context that starts where each begins: there the frame pointer is cleared, so that unwinding ends, and thr_task_root()
 * entered. A C object, not the assembly's label itself: link-time optimisation does not see labels. */
extern const struct thr_context thr_context_fresh;

/* Makes a context that starts on the stack whose upper end is top. */
static inline void thr_context_init(struct thr_context *c, void *top)
{
    *c = thr_context_fresh;
    c->sp = (void *)((uintptr_t)top & ~(uintptr_t)15);
}

#if defined(__x86_64__)

#ifdef __AVX512F__
#define THR_CLOBBER_WIDE                                                                           \
    , "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25",    \
        "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k1", "k2", "k3", "k4", "k5", "k6",  \
        "k7"
#else
#define THR_CLOBBER_WIDE
#endif

/* Saves the running context in *from and goes on with *to. Returns when somebody switches to *from. */
static inline __attribute__((always_inline)) void thr_context_switch(struct thr_context *from,
                                                                     const struct thr_context *to)
{
    __asm__ volatile("leaq 1f(%%rip), %%rax\n\t"
                     "movq %%rax, 0(%[from])\n\t"
                     "movq %%rsp, 8(%[from])\n\t"
                     "movq %%rbp, 16(%[from])\n\t"
                     "movq %%rbx, 24(%[from])\n\t"
                     "movq 24(%[to]), %%rbx\n\t"
                     "movq 16(%[to]), %%rbp\n\t"
                     "movq 8(%[to]), %%rsp\n\t"
                     "jmpq *0(%[to])\n"
                     "1:\n\t"
                     : [from] "+D"(from), [to] "+S"(to)
                     :
                     : "rax", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
                       "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
                       "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "memory",
                       "cc" THR_CLOBBER_WIDE);
}

#elif defined(__aarch64__)

static inline __attribute__((always_inline)) void thr_context_switch(struct thr_context *from,
                                                                     const struct thr_context *to)
{
    register struct thr_context *x0 __asm__("x0") = from;
    register const struct thr_context *x1 __asm__("x1") = to;
    __asm__ volatile("adr x9, 1f\n\t"
                     "mov x10, sp\n\t"
                     "stp x9, x10, [x0]\n\t"
                     "stp x29, x19, [x0, #16]\n\t"
                     "ldp x29, x19, [x1, #16]\n\t"
                     "ldp x9, x10, [x1]\n\t"
                     "mov sp, x10\n\t"
                     "br x9\n"
                     "1:\n\t"
                     "hint #36\n\t" /* bti j */
                     : "+r"(x0), "+r"(x1)
                     :
                     : "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13",
                       "x14", "x15", "x16", "x17", "x18", "x20", "x21", "x22", "x23", "x24", "x25",
                       "x26", "x27", "x28", "x30", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7",
                       "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", "v16", "v17", "v18",
                       "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29",
                       "v30", "v31", "memory", "cc");
}

#else
#error "thrum has a context switch for x86-64 and aarch64; add one here for this processor"
#endif

#endif
