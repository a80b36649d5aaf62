/* SPDX-License-Identifier: MIT */
/*
 * Routes of IPv4 prefixes: insert, remove, find the longest prefix that covers an address.
 *
 * The tree takes no lock: its user holds one, shared for PrefixTreeLookup and exclusive for
 * everything else. All memory is nonpaged, so that the lock may be a spin lock.
 *
 * Addresses are in host byte order: 10.0.0.0 is 0x0A000000.
 */
#ifndef PREFIX_TREE_H
#define PREFIX_TREE_H

#include <wdm.h>

#define PREFIX_TREE_TAG 'erTP' /* PTre */

#define PREFIX_TREE_MAXIMUM_LENGTH 32

typedef struct _PREFIX_TREE_NODE *PPREFIX_TREE_NODE;

/* Storage of the user, nonpaged; the fields are the tree's. */
typedef struct _PREFIX_TREE {
    LOOKASIDE_LIST_EX NodeLookaside;
    LIST_ENTRY NodeList; /* every node, for the end */
    PPREFIX_TREE_NODE Root;
    ULONG NodeCount;
    ULONG RouteCount;
} PREFIX_TREE, *PPREFIX_TREE;

/* Start an empty tree. Every tree that was started is ended by PrefixTreeUninitialize. */
_IRQL_requires_max_(DISPATCH_LEVEL)
_Must_inspect_result_
NTSTATUS PrefixTreeInitialize(_Out_ PPREFIX_TREE Tree);

/* Drop all routes and all memory. What the routes' contexts point to is the user's. */
_IRQL_requires_max_(DISPATCH_LEVEL)
VOID PrefixTreeUninitialize(_Inout_ PPREFIX_TREE Tree);

/*
 * Add the route Address/Length.
 *
 * STATUS_INVALID_PARAMETER: Length is above 32, or Address has bits behind the prefix.
 * STATUS_OBJECT_NAME_COLLISION: there is such a route.
 * STATUS_INSUFFICIENT_RESOURCES: no memory. The tree is as it was after every failure.
 */
_IRQL_requires_max_(DISPATCH_LEVEL)
_Must_inspect_result_
NTSTATUS PrefixTreeInsert(_Inout_ PPREFIX_TREE Tree,
                          _In_ ULONG Address,
                          _In_ UCHAR Length,
                          _In_opt_ PVOID Context);

/* Remove exactly this route; STATUS_NOT_FOUND. Context receives what it was inserted with. */
_IRQL_requires_max_(DISPATCH_LEVEL)
NTSTATUS PrefixTreeRemove(_Inout_ PPREFIX_TREE Tree,
                          _In_ ULONG Address,
                          _In_ UCHAR Length,
                          _Out_opt_ PVOID *Context);

/* The longest route that covers Address; STATUS_NOT_FOUND: no route does. */
_IRQL_requires_max_(DISPATCH_LEVEL)
NTSTATUS PrefixTreeLookup(_In_ const PREFIX_TREE *Tree,
                          _In_ ULONG Address,
                          _Out_ PVOID *Context,
                          _Out_opt_ PUCHAR Length);

#endif
