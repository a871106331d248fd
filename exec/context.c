/* SPDX-License-Identifier: MIT */
/* The first instructions of a new context. Its call frame information says that there is no caller, and the frame
 * pointer is zero: debuggers and profilers end their walk here. It goes on by a jump, with the return address set by hand:
 * thr_task_root() never returns, and a call that is never returned from would leave the processor's return predictor one
 * off, so that each return of the next task is mispredicted. */
#include "exec/context.h"

#if defined(__x86_64__)
__asm__(".text\n"
        ".globl thr_context_entry\n"
        ".hidden thr_context_entry\n"
        ".type thr_context_entry, @function\n"
        "thr_context_entry:\n"
        ".cfi_startproc\n"
        ".cfi_undefined rip\n"
        "xorl %ebp, %ebp\n"
        "leaq 1f(%rip), %rax\n"
        "pushq %rax\n"
        "jmp thr_task_root\n"
        "1:\n"
        "ud2\n"
        ".cfi_endproc\n"
        ".size thr_context_entry, . - thr_context_entry\n");
#elif defined(__aarch64__)
__asm__(".text\n"
        ".globl thr_context_entry\n"
        ".hidden thr_context_entry\n"
        ".type thr_context_entry, %function\n"
        "thr_context_entry:\n"
        ".cfi_startproc\n"
        ".cfi_undefined x30\n"
        "hint #36\n"
        "mov x29, xzr\n"
        "mov x30, xzr\n"
        "adr x30, 1f\n"
        "b thr_task_root\n"
        "1:\n"
        "brk #1\n"
        ".cfi_endproc\n"
        ".size thr_context_entry, . - thr_context_entry\n");
#endif

void thr_context_entry(void);

const struct thr_context thr_context_fresh = {.pc = (void *)thr_context_entry};
