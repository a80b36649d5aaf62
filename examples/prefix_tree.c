/* SPDX-License-Identifier: MIT */
/*
 * A binary tree of prefixes in which no node is superfluous: each one either is a route, or is a
 * fork with two children. A child's prefix is longer than its parent's and begins with it; the bit
 * that follows the parent's prefix says which of the two children it is.
 *
 *     10.0.0.0/8 (route)
 *       +- 0: 10.0.0.0/15 (fork)
 *       |       +- 0: 10.0.5.0/24 (route)
 *       |       +- 1: 10.1.0.0/16 (route)
 *       +- 1: 10.128.0.0/9 (route)
 *
 * So n routes need at most 2n - 1 nodes, and no walk is longer than 33 steps, whatever the routes.
 *
 * All nodes have one size and come and go with rules that are edited while packets flow: a
 * lookaside list keeps freed ones at hand. They are in a list besides, which makes the end a plain
 * loop: a kernel stack is too small for a recursion over a tree.
 */
#include "prefix_tree.h"

typedef struct _PREFIX_TREE_NODE {
    LIST_ENTRY Link; /* PREFIX_TREE.NodeList */
    struct _PREFIX_TREE_NODE *Children[2];
    PVOID Context;
    ULONG Address;
    UCHAR Length;
    BOOLEAN IsRoute;
} PREFIX_TREE_NODE;

static ULONG PrefixTreeMask(_In_range_(0, 32) UCHAR Length)
{
    return Length == 0 ? 0 : MAXULONG << (PREFIX_TREE_MAXIMUM_LENGTH - Length);
}

/* Bit number Length of an address, counted from the highest: which child goes on behind Length. */
static ULONG PrefixTreeBranch(_In_ ULONG Address, _In_range_(0, 31) UCHAR Length)
{
    return (Address >> (PREFIX_TREE_MAXIMUM_LENGTH - 1 - Length)) & 1;
}

static BOOLEAN PrefixTreeCovers(_In_ const PREFIX_TREE_NODE *Node, _In_ ULONG Address)
{
    return ((Node->Address ^ Address) & PrefixTreeMask(Node->Length)) == 0;
}

static BOOLEAN PrefixTreeIsPrefix(_In_ ULONG Address, _In_ UCHAR Length)
{
    return Length <= PREFIX_TREE_MAXIMUM_LENGTH && (Address & ~PrefixTreeMask(Length)) == 0;
}

/* How many bits two prefixes begin with in common, at most Limit. */
static UCHAR PrefixTreeCommonLength(_In_ ULONG First, _In_ ULONG Second, _In_ UCHAR Limit)
{
    UCHAR Length = 0;

    while (Length < Limit && PrefixTreeBranch(First ^ Second, Length) == 0) {
        Length += 1;
    }
    return Length;
}

/* An entry of a lookaside list holds what its last user left in it. */
_Must_inspect_result_
static PPREFIX_TREE_NODE PrefixTreeAllocateNode(_Inout_ PPREFIX_TREE Tree,
                                                _In_ ULONG Address,
                                                _In_ UCHAR Length)
{
    PPREFIX_TREE_NODE Node = ExAllocateFromLookasideListEx(&Tree->NodeLookaside);

    if (Node == NULL) {
        return NULL;
    }
    RtlZeroMemory(Node, sizeof(*Node));
    Node->Address = Address & PrefixTreeMask(Length);
    Node->Length = Length;
    InsertTailList(&Tree->NodeList, &Node->Link);
    Tree->NodeCount += 1;
    return Node;
}

static VOID PrefixTreeFreeNode(_Inout_ PPREFIX_TREE Tree, _In_ PPREFIX_TREE_NODE Node)
{
    RemoveEntryList(&Node->Link);
    Tree->NodeCount -= 1;
    ExFreeToLookasideListEx(&Tree->NodeLookaside, Node);
}

static VOID PrefixTreeSetRoute(_Inout_ PPREFIX_TREE Tree,
                               _Inout_ PPREFIX_TREE_NODE Node,
                               _In_opt_ PVOID Context)
{
    Node->IsRoute = TRUE;
    Node->Context = Context;
    Tree->RouteCount += 1;
}

/* Take a node out that is no route and has not two children: its only child takes its place. */
static VOID PrefixTreeDropIfUseless(_Inout_ PPREFIX_TREE Tree, _Inout_ PPREFIX_TREE_NODE *Place)
{
    PPREFIX_TREE_NODE Node = *Place;

    if (Node->IsRoute || (Node->Children[0] != NULL && Node->Children[1] != NULL)) {
        return;
    }
    *Place = Node->Children[0] != NULL ? Node->Children[0] : Node->Children[1];
    PrefixTreeFreeNode(Tree, Node);
}

/*
 * Walk as far as nodes cover the prefix. Returns the place where the walk ended: it holds the node
 * of just this prefix, a node that is not above the prefix, or NULL. Parent receives the place
 * before.
 */
static PPREFIX_TREE_NODE *PrefixTreeFindPlace(_In_ PPREFIX_TREE Tree,
                                              _In_ ULONG Address,
                                              _In_ UCHAR Length,
                                              _Out_ PPREFIX_TREE_NODE **Parent)
{
    PPREFIX_TREE_NODE *Place = &Tree->Root;

    *Parent = NULL;
    while (*Place != NULL && (*Place)->Length < Length && PrefixTreeCovers(*Place, Address)) {
        *Parent = Place;
        Place = &(*Place)->Children[PrefixTreeBranch(Address, (*Place)->Length)];
    }
    return Place;
}

_Use_decl_annotations_
NTSTATUS PrefixTreeInitialize(PPREFIX_TREE Tree)
{
    RtlZeroMemory(Tree, sizeof(*Tree));
    InitializeListHead(&Tree->NodeList);
    return ExInitializeLookasideListEx(&Tree->NodeLookaside,
                                       NULL,
                                       NULL,
                                       NonPagedPoolNx,
                                       0,
                                       sizeof(PREFIX_TREE_NODE),
                                       PREFIX_TREE_TAG,
                                       0);
}

_Use_decl_annotations_
VOID PrefixTreeUninitialize(PPREFIX_TREE Tree)
{
    while (!IsListEmpty(&Tree->NodeList)) {
        PrefixTreeFreeNode(Tree, CONTAINING_RECORD(Tree->NodeList.Flink, PREFIX_TREE_NODE, Link));
    }
    Tree->Root = NULL;
    Tree->RouteCount = 0;
    ExDeleteLookasideListEx(&Tree->NodeLookaside);
}

_Use_decl_annotations_
NTSTATUS PrefixTreeInsert(PPREFIX_TREE Tree, ULONG Address, UCHAR Length, PVOID Context)
{
    PPREFIX_TREE_NODE *Parent;
    PPREFIX_TREE_NODE *Place;
    PPREFIX_TREE_NODE Below;
    PPREFIX_TREE_NODE Node;
    PPREFIX_TREE_NODE Fork;
    UCHAR Common;

    if (!PrefixTreeIsPrefix(Address, Length)) {
        return STATUS_INVALID_PARAMETER;
    }
    Place = PrefixTreeFindPlace(Tree, Address, Length, &Parent);
    Below = *Place;
    if (Below != NULL && Below->Length == Length && Below->Address == Address) {
        if (Below->IsRoute) {
            return STATUS_OBJECT_NAME_COLLISION;
        }
        PrefixTreeSetRoute(Tree, Below, Context);
        return STATUS_SUCCESS;
    }

    Node = PrefixTreeAllocateNode(Tree, Address, Length);
    if (Node == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    if (Below == NULL) {
        *Place = Node;
    } else {
        Common = PrefixTreeCommonLength(Address, Below->Address, min(Length, Below->Length));
        if (Common == Length) {
            Fork = Node; /* the new route covers what is below */
        } else {
            Fork = PrefixTreeAllocateNode(Tree, Address, Common);
            if (Fork == NULL) {
                PrefixTreeFreeNode(Tree, Node);
                return STATUS_INSUFFICIENT_RESOURCES;
            }
            Fork->Children[PrefixTreeBranch(Address, Common)] = Node;
        }
        Fork->Children[PrefixTreeBranch(Below->Address, Common)] = Below;
        *Place = Fork;
    }
    PrefixTreeSetRoute(Tree, Node, Context);
    return STATUS_SUCCESS;
}

_Use_decl_annotations_
NTSTATUS PrefixTreeRemove(PPREFIX_TREE Tree, ULONG Address, UCHAR Length, PVOID *Context)
{
    PPREFIX_TREE_NODE *Parent;
    PPREFIX_TREE_NODE *Place;
    PPREFIX_TREE_NODE Node;

    if (Context != NULL) {
        *Context = NULL;
    }
    if (!PrefixTreeIsPrefix(Address, Length)) {
        return STATUS_NOT_FOUND;
    }
    Place = PrefixTreeFindPlace(Tree, Address, Length, &Parent);
    Node = *Place;
    if (Node == NULL || Node->Length != Length || Node->Address != Address || !Node->IsRoute) {
        return STATUS_NOT_FOUND;
    }
    if (Context != NULL) {
        *Context = Node->Context;
    }
    Node->IsRoute = FALSE;
    Node->Context = NULL;
    Tree->RouteCount -= 1;
    PrefixTreeDropIfUseless(Tree, Place);
    if (Parent != NULL) {
        PrefixTreeDropIfUseless(Tree, Parent); /* it may have been the fork above */
    }
    return STATUS_SUCCESS;
}

_Use_decl_annotations_
NTSTATUS PrefixTreeLookup(const PREFIX_TREE *Tree, ULONG Address, PVOID *Context, PUCHAR Length)
{
    const PREFIX_TREE_NODE *Node = Tree->Root;
    const PREFIX_TREE_NODE *Best = NULL;

    *Context = NULL;
    while (Node != NULL && PrefixTreeCovers(Node, Address)) {
        if (Node->IsRoute) {
            Best = Node;
        }
        if (Node->Length == PREFIX_TREE_MAXIMUM_LENGTH) {
            break;
        }
        Node = Node->Children[PrefixTreeBranch(Address, Node->Length)];
    }
    if (Best == NULL) {
        return STATUS_NOT_FOUND;
    }
    *Context = Best->Context;
    if (Length != NULL) {
        *Length = Best->Length;
    }
    return STATUS_SUCCESS;
}
