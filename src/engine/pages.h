/*
 * Memory that holds nothing any more, given back to the kernel page by page: an engine that is idle
 * keeps what its TPM is made of, and not what the last command passed through.
 */
#ifndef ENGINE_PAGES_H
#define ENGINE_PAGES_H

#include <stddef.h>

/* Wipes what is there. Unlike memset() it makes no page the process' own that holds only zeros. */
void pages_wipe(void *data, size_t n);

/*
 * Gives back each whole page of data that holds only zeros, and reads as zeros ever after. Only for
 * private memory that is no file's: variables without a value in the program, stacks, the heap.
 */
void pages_give_back_zeros(void *data, size_t n);

/* The same for all variables of the program that had no value at its start. */
void pages_give_back_variables(void);

/* Gives back the stack below the caller: what functions that have returned left there is gone. */
void pages_give_back_stack(void);

#endif
