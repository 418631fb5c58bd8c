/*
 * Compiler attributes and the ownership idioms of this project: scope clean-up and TAKE.
 */
#ifndef BASE_MACRO_H
#define BASE_MACRO_H

#include <stddef.h>
#include <stdlib.h>

#define MUST_CHECK        __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))
#define CLEANUP(fn)       __attribute__((cleanup(fn)))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Moves a pointer out of a variable that has scope clean-up: the variable becomes NULL. */
#define TAKE(p)                                                                                    \
        ({                                                                                         \
                __typeof__(p) take_value_ = (p);                                                   \
                (p) = NULL;                                                                        \
                take_value_;                                                                       \
        })

/* Defines fn_p(), the scope clean-up of a pointer that fn() frees; fn() accepts NULL. */
#define DEFINE_CLEANUP(type, fn)                                                                   \
        static inline void fn##_p(type *p)                                                         \
        {                                                                                          \
                if (*p != NULL)                                                                    \
                        fn(*p);                                                                    \
        }

static inline void base_free_p(void *p)
{
        void *memory = *(void **)p;
        free(memory);
}
#define AUTO_FREE CLEANUP(base_free_p)

#endif
