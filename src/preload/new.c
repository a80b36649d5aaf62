/* SPDX-License-Identifier: MIT */
/*
 * C++: every form of operator new and delete, under the names the Itanium C++ ABI gives them.
 *
 * There is no C++ in this library and no dependency on a C++ runtime. What only such a runtime can
 * do - tell the new_handler, throw std::bad_alloc, catch - is found by name in the one the program
 * has, when an allocation fails and not before.
 *
 * The standard lets a program replace some forms and says what the others then do: new[] calls new,
 * the nothrow forms call the throwing ones, sized delete calls the plain one, and so on. A program
 * that replaces operator new(size_t) and delete(void *) only must get its own through every other
 * form. So each derived form asks whether its base is still the one defined here - the dynamic
 * linker has decided long ago, the answer is one load and one compare - and if not, calls the base:
 *
 *     new[](n)            -> new(n)                delete[](p)         -> delete(p)
 *     new(n, nothrow)     -> new(n)                delete(p, n)        -> delete(p)
 *     new[](n, nothrow)   -> new[](n)              delete[](p, n)      -> delete[](p)
 *     and the same with std::align_val_t           delete(p, nothrow)  -> delete(p), delete[]
 * likewise
 *
 * The bases are weak, so that the compiler believes that they can be replaced.
 *
 * Failure: the installed new_handler is called and the allocation tried again, for as long as one
 * is installed; it ends by memory, by an exception of the handler, or by its removal. Then
 * std::bad_alloc is thrown. A nothrow form must turn an exception of the handler into NULL, which C
 * cannot catch: it hands the call to the runtime's own nothrow form, which calls our throwing form
 * inside try and catch. Without any runtime in reach there is no handler and nobody who could
 * catch: operator new says so on stderr and aborts.
 *
 * This file holds no state and takes no lock. Compiled with -fexceptions: handlers throw through
 * it.
 */
#include "front/pool.h"
#include "preload/module.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define CALLER() __builtin_return_address(0)
#define BASE     __attribute__((weak)) EXP_EXPORT

typedef void handler_function(void);

/* The bases. */
void *_Znwm(size_t bytes);
void *_Znam(size_t bytes);
void *_ZnwmSt11align_val_t(size_t bytes, size_t alignment);
void *_ZnamSt11align_val_t(size_t bytes, size_t alignment);
void _ZdlPv(void *block);
void _ZdaPv(void *block);
void _ZdlPvSt11align_val_t(void *block, size_t alignment);
void _ZdaPvSt11align_val_t(void *block, size_t alignment);

/* The same under names that nothing can replace. */
static void *own_new(size_t) __attribute__((alias("_Znwm")));
static void *own_new_array(size_t) __attribute__((alias("_Znam")));
static void *own_new_aligned(size_t, size_t) __attribute__((alias("_ZnwmSt11align_val_t")));
static void *own_new_array_aligned(size_t, size_t) __attribute__((alias("_ZnamSt11align_val_t")));
static void own_delete(void *) __attribute__((alias("_ZdlPv")));
static void own_delete_array(void *) __attribute__((alias("_ZdaPv")));
static void own_delete_aligned(void *, size_t) __attribute__((alias("_ZdlPvSt11align_val_t")));
static void own_delete_array_aligned(void *, size_t)
    __attribute__((alias("_ZdaPvSt11align_val_t")));

/* ---- What only a C++ runtime can do
 * -------------------------------------------------------------- */

/*
 * A function of the program's C++ runtime, or NULL.
 *
 *   scope     RTLD_DEFAULT, or RTLD_NEXT to leave out what stands here
 *
 * A runtime that came with a plug-in is in no scope of ours; it is found by its file name.
 */
static EXP_COLD void *runtime_find(void *scope, const char *name)
{
    static const char *const files[] = { "libstdc++.so.6", "libc++abi.so.1", "libc++.so.1" };
    void *function = dlsym(scope, name);

    for (size_t i = 0; function == NULL && i < sizeof(files) / sizeof(files[0]); i++) {
        void *handle = dlopen(files[i], RTLD_LAZY | RTLD_NOLOAD);
        if (handle != NULL) {
            function = dlsym(handle, name);
            dlclose(handle);
        }
    }
    return function;
}

/* The installed new_handler, or NULL. */
static EXP_COLD handler_function *installed_handler(void)
{
    handler_function *(*get_new_handler)(void) =
        runtime_find(RTLD_DEFAULT, "_ZSt15get_new_handlerv");
    return get_new_handler == NULL ? NULL : get_new_handler();
}

/* Throw std::bad_alloc. */
static EXP_COLD _Noreturn void throw_bad_alloc(void)
{
    static const char words[] =
        "expool: operator new found no memory, and no C++ runtime to throw std::bad_alloc with\n";
    void (*throw)(void) = runtime_find(RTLD_DEFAULT, "_ZSt17__throw_bad_allocv");

    if (throw != NULL) {
        throw();
    }
    ssize_t written = write(STDERR_FILENO, words, sizeof(words) - 1);
    (void)written; /* there is nobody left to tell */
    abort();
}

/* ---- Allocation
 * ---------------------------------------------------------------------------------- */

/* One attempt; alignment 0: any. */
static EXP_COLD void *attempt(size_t bytes, size_t alignment, const void *caller)
{
    uint32_t number = exp_module_number(caller);
    size_t sum;

    if (number == 0 || exp_add_overflows(bytes, alignment, &sum) || sum > PTRDIFF_MAX) {
        return NULL;
    }
    return alignment == 0 ? exp_pool_face_allocate(bytes, number, false)
                          : exp_pool_face_allocate_aligned(bytes, alignment, number);
}

/* A block, after as many handlers as it takes, or std::bad_alloc. */
static EXP_COLD void *allocate_or_throw(size_t bytes, size_t alignment, const void *caller)
{
    void *block;

    while ((block = attempt(bytes, alignment, caller)) == NULL) {
        errno = ENOMEM;
        handler_function *handler = installed_handler();
        if (handler == NULL) {
            throw_bad_alloc();
        }
        handler();
    }
    return block;
}

/* A block at once, or NULL: no memory, or the caller's tag is not known yet. */
EXP_INLINE void *try_allocate(size_t bytes, const void *caller)
{
    uint32_t number = exp_module_find(caller);
    struct exp_pool_got got;

    if (EXP_LIKELY(exp_pool_face_try(bytes, number, &got))) {
        return got.block;
    }
    if (EXP_UNLIKELY(number == 0 || bytes > PTRDIFF_MAX)) {
        return NULL;
    }
    return exp_pool_face_allocate(bytes, number, false);
}

/* operator new; alignment is no power of two only by a program's mistake: std::bad_alloc. */
static void *allocate_aligned(size_t bytes, size_t alignment, const void *caller)
{
    if (alignment == 0 || (alignment & (alignment - 1)) != 0) {
        throw_bad_alloc();
    }
    return allocate_or_throw(bytes, exp_max(alignment, EXP_GRANULE), caller);
}

BASE void *_Znwm(size_t bytes)
{
    void *block = try_allocate(bytes, CALLER());

    return EXP_LIKELY(block != NULL) ? block : allocate_or_throw(bytes, 0, CALLER());
}

BASE void *_Znam(size_t bytes)
{
    if (EXP_UNLIKELY(_Znwm != own_new)) {
        return _Znwm(bytes);
    }
    void *block = try_allocate(bytes, CALLER());
    return EXP_LIKELY(block != NULL) ? block : allocate_or_throw(bytes, 0, CALLER());
}

BASE void *_ZnwmSt11align_val_t(size_t bytes, size_t alignment)
{
    return allocate_aligned(bytes, alignment, CALLER());
}

BASE void *_ZnamSt11align_val_t(size_t bytes, size_t alignment)
{
    if (EXP_UNLIKELY(_ZnwmSt11align_val_t != own_new_aligned)) {
        return _ZnwmSt11align_val_t(bytes, alignment);
    }
    return allocate_aligned(bytes, alignment, CALLER());
}

/* ---- Allocation without an exception ---- */

/*
 * The rare half of new(n, nothrow) and new[](n, nothrow).
 *
 *   name      the form's own name
 *   base      the throwing form it is defined by
 *   own       base is the one that stands here
 */
static EXP_COLD void *nothrow_slowly(const char *name,
                                     void *(*base)(size_t),
                                     bool own,
                                     size_t bytes,
                                     const void *nothrow,
                                     const void *caller)
{
    if (own) {
        void *block = attempt(bytes, 0, caller);
        if (block != NULL) {
            return block;
        }
        errno = ENOMEM;
        if (installed_handler() == NULL) {
            return NULL;
        }
    }
    void *(*catching)(size_t, const void *) = runtime_find(RTLD_NEXT, name);
    return catching != NULL ? catching(bytes, nothrow) : base(bytes);
}

/* The same for the aligned forms. */
static EXP_COLD void *nothrow_aligned(const char *name,
                                      void *(*base)(size_t, size_t),
                                      bool own,
                                      size_t bytes,
                                      size_t alignment,
                                      const void *nothrow,
                                      const void *caller)
{
    if (own) {
        if (alignment == 0 || (alignment & (alignment - 1)) != 0) {
            return NULL;
        }
        void *block = attempt(bytes, exp_max(alignment, EXP_GRANULE), caller);
        if (block != NULL) {
            return block;
        }
        errno = ENOMEM;
        if (installed_handler() == NULL) {
            return NULL;
        }
    }
    void *(*catching)(size_t, size_t, const void *) = runtime_find(RTLD_NEXT, name);
    return catching != NULL ? catching(bytes, alignment, nothrow) : base(bytes, alignment);
}

EXP_EXPORT void *_ZnwmRKSt9nothrow_t(size_t bytes, const void *nothrow)
{
    bool own = _Znwm == own_new;
    void *block = EXP_LIKELY(own) ? try_allocate(bytes, CALLER()) : NULL;

    return EXP_LIKELY(block != NULL)
               ? block
               : nothrow_slowly("_ZnwmRKSt9nothrow_t", _Znwm, own, bytes, nothrow, CALLER());
}

EXP_EXPORT void *_ZnamRKSt9nothrow_t(size_t bytes, const void *nothrow)
{
    bool own = _Znam == own_new_array && _Znwm == own_new;
    void *block = EXP_LIKELY(own) ? try_allocate(bytes, CALLER()) : NULL;

    return EXP_LIKELY(block != NULL)
               ? block
               : nothrow_slowly("_ZnamRKSt9nothrow_t", _Znam, own, bytes, nothrow, CALLER());
}

EXP_EXPORT void *_ZnwmSt11align_val_tRKSt9nothrow_t(size_t bytes,
                                                    size_t alignment,
                                                    const void *nothrow)
{
    return nothrow_aligned("_ZnwmSt11align_val_tRKSt9nothrow_t",
                           _ZnwmSt11align_val_t,
                           _ZnwmSt11align_val_t == own_new_aligned,
                           bytes,
                           alignment,
                           nothrow,
                           CALLER());
}

EXP_EXPORT void *_ZnamSt11align_val_tRKSt9nothrow_t(size_t bytes,
                                                    size_t alignment,
                                                    const void *nothrow)
{
    return nothrow_aligned("_ZnamSt11align_val_tRKSt9nothrow_t",
                           _ZnamSt11align_val_t,
                           _ZnamSt11align_val_t == own_new_array_aligned &&
                               _ZnwmSt11align_val_t == own_new_aligned,
                           bytes,
                           alignment,
                           nothrow,
                           CALLER());
}

/* ---- Delete ---- */

EXP_INLINE void release(void *block)
{
    if (EXP_UNLIKELY(!exp_pool_try_free_any(block, false)) && block != NULL) {
        exp_pool_face_free(block);
    }
}

/* delete or delete[] by its base. */
EXP_INLINE void release_by(void (*base)(void *), bool own, void *block)
{
    if (EXP_LIKELY(own)) {
        release(block);
    } else {
        base(block);
    }
}

/* The same for the aligned forms. */
EXP_INLINE void release_aligned_by(void (*base)(void *, size_t),
                                   bool own,
                                   void *block,
                                   size_t alignment)
{
    if (EXP_LIKELY(own)) {
        release(block);
    } else {
        base(block, alignment);
    }
}

BASE void _ZdlPv(void *block)
{
    release(block);
}

BASE void _ZdaPv(void *block)
{
    release_by(_ZdlPv, _ZdlPv == own_delete, block);
}

EXP_EXPORT void _ZdlPvm(void *block, size_t bytes)
{
    (void)bytes;
    release_by(_ZdlPv, _ZdlPv == own_delete, block);
}

EXP_EXPORT void _ZdlPvRKSt9nothrow_t(void *block, const void *nothrow)
{
    (void)nothrow;
    release_by(_ZdlPv, _ZdlPv == own_delete, block);
}

EXP_EXPORT void _ZdaPvm(void *block, size_t bytes)
{
    (void)bytes;
    release_by(_ZdaPv, _ZdaPv == own_delete_array && _ZdlPv == own_delete, block);
}

EXP_EXPORT void _ZdaPvRKSt9nothrow_t(void *block, const void *nothrow)
{
    (void)nothrow;
    release_by(_ZdaPv, _ZdaPv == own_delete_array && _ZdlPv == own_delete, block);
}

BASE void _ZdlPvSt11align_val_t(void *block, size_t alignment)
{
    (void)alignment;
    release(block);
}

BASE void _ZdaPvSt11align_val_t(void *block, size_t alignment)
{
    release_aligned_by(
        _ZdlPvSt11align_val_t, _ZdlPvSt11align_val_t == own_delete_aligned, block, alignment);
}

EXP_EXPORT void _ZdlPvmSt11align_val_t(void *block, size_t bytes, size_t alignment)
{
    (void)bytes;
    release_aligned_by(
        _ZdlPvSt11align_val_t, _ZdlPvSt11align_val_t == own_delete_aligned, block, alignment);
}

EXP_EXPORT void _ZdlPvSt11align_val_tRKSt9nothrow_t(void *block,
                                                    size_t alignment,
                                                    const void *nothrow)
{
    (void)nothrow;
    release_aligned_by(
        _ZdlPvSt11align_val_t, _ZdlPvSt11align_val_t == own_delete_aligned, block, alignment);
}

EXP_EXPORT void _ZdaPvmSt11align_val_t(void *block, size_t bytes, size_t alignment)
{
    (void)bytes;
    release_aligned_by(_ZdaPvSt11align_val_t,
                       _ZdaPvSt11align_val_t == own_delete_array_aligned &&
                           _ZdlPvSt11align_val_t == own_delete_aligned,
                       block,
                       alignment);
}

EXP_EXPORT void _ZdaPvSt11align_val_tRKSt9nothrow_t(void *block,
                                                    size_t alignment,
                                                    const void *nothrow)
{
    (void)nothrow;
    release_aligned_by(_ZdaPvSt11align_val_t,
                       _ZdaPvSt11align_val_t == own_delete_array_aligned &&
                           _ZdlPvSt11align_val_t == own_delete_aligned,
                       block,
                       alignment);
}
