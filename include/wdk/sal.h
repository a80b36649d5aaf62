/* SPDX-License-Identifier: MIT */
/*
 * Annotations of driver code (SAL), all of them empty: a C compiler on Linux cannot check them.
 *
 * The first group is the language as it is written today. The second group, the older lower-case
 * words, exists in C only: C++ libraries use some of them as names of their own. __reserved is not
 * among them: system headers name fields so (linux/perf_event.h; signal.h on arm64).
 *
 * source      public SAL documentation: names and number of arguments; api.md 1.1
 */
#ifndef EXP_WDK_SAL_H
#define EXP_WDK_SAL_H

/* clang-format off */
#define _In_
#define _In_opt_
#define _In_z_
#define _In_opt_z_
#define _In_reads_(count)
#define _In_reads_opt_(count)
#define _In_reads_bytes_(count)
#define _In_reads_bytes_opt_(count)
#define _In_reads_z_(count)
#define _In_reads_or_z_(count)
#define _In_range_(low, high)
#define _In_bytecount_(count)
#define _In_count_(count)
#define _In_function_class_(name)
#define _Inout_
#define _Inout_opt_
#define _Inout_z_
#define _Inout_updates_(count)
#define _Inout_updates_opt_(count)
#define _Inout_updates_all_(count)
#define _Inout_updates_bytes_(count)
#define _Inout_updates_bytes_opt_(count)
#define _Inout_updates_bytes_to_(count, used)
#define _Out_
#define _Out_opt_
#define _Out_range_(low, high)
#define _Out_writes_(count)
#define _Out_writes_opt_(count)
#define _Out_writes_z_(count)
#define _Out_writes_all_(count)
#define _Out_writes_to_(count, used)
#define _Out_writes_to_opt_(count, used)
#define _Out_writes_bytes_(count)
#define _Out_writes_bytes_opt_(count)
#define _Out_writes_bytes_all_(count)
#define _Out_writes_bytes_to_(count, used)
#define _Out_writes_bytes_to_opt_(count, used)
#define _Outptr_
#define _Outptr_opt_
#define _Outptr_result_maybenull_
#define _Outptr_result_nullonfailure_
#define _Outptr_opt_result_maybenull_
#define _Outptr_result_bytebuffer_(count)
#define _Outptr_result_buffer_(count)
#define _COM_Outptr_
#define _Ret_maybenull_
#define _Ret_notnull_
#define _Ret_null_
#define _Ret_z_
#define _Ret_range_(low, high)
#define _Ret_writes_(count)
#define _Ret_writes_bytes_(count)
#define _Ret_writes_bytes_maybenull_(count)
#define _Deref_out_range_(low, high)
#define _Field_range_(low, high)
#define _Field_size_(count)
#define _Field_size_opt_(count)
#define _Field_size_bytes_(count)
#define _Field_size_bytes_opt_(count)
#define _Field_size_bytes_part_(count, used)
#define _Field_size_part_(count, used)
#define _Field_z_
#define _Struct_size_bytes_(count)
#define _Null_terminated_
#define _NullNull_terminated_
#define _Points_to_data_
#define _Readable_bytes_(count)
#define _Readable_elements_(count)
#define _Writable_bytes_(count)
#define _Writable_elements_(count)
#define _Reserved_
#define _Const_
#define _Literal_
#define _Notliteral_
#define _Printf_format_string_
#define _Check_return_
#define _Must_inspect_result_
#define _Use_decl_annotations_
#define _Success_(condition)
#define _On_failure_(annotation)
#define _Always_(annotation)
#define _When_(condition, annotation)
#define _At_(target, annotation)
#define _At_buffer_(target, index, count, annotation)
#define _Group_(annotation)
#define _Pre_
#define _Pre_maybenull_
#define _Pre_notnull_
#define _Pre_null_
#define _Pre_valid_
#define _Pre_satisfies_(condition)
#define _Pre_defensive_
#define _Post_
#define _Post_invalid_
#define _Post_maybenull_
#define _Post_notnull_
#define _Post_null_
#define _Post_ptr_invalid_
#define _Post_valid_
#define _Post_satisfies_(condition)
#define _Post_writable_byte_size_(count)
#define _Post_readable_byte_size_(count)
#define _Post_equal_to_(value)
#define _Analysis_assume_(condition) ((void)0)
#define _Analysis_assume_nullterminated_(text) ((void)0)
#define _Analysis_noreturn_
#define __analysis_assume(condition) ((void)0)
#define _Interlocked_operand_
#define _Guarded_by_(lock)
#define _Write_guarded_by_(lock)
#define _Requires_lock_held_(lock)
#define _Requires_lock_not_held_(lock)
#define _Requires_exclusive_lock_held_(lock)
#define _Requires_shared_lock_held_(lock)
#define _Requires_no_locks_held_
#define _Acquires_lock_(lock)
#define _Acquires_exclusive_lock_(lock)
#define _Acquires_shared_lock_(lock)
#define _Releases_lock_(lock)
#define _Releases_exclusive_lock_(lock)
#define _Releases_shared_lock_(lock)
#define _Has_lock_kind_(kind)
#define _Has_lock_level_(level)
#define _Lock_level_order_(before, after)
#define _IRQL_requires_(level)
#define _IRQL_requires_max_(level)
#define _IRQL_requires_min_(level)
#define _IRQL_requires_same_
#define _IRQL_raises_(level)
#define _IRQL_saves_
#define _IRQL_saves_global_(kind, parameter)
#define _IRQL_restores_
#define _IRQL_restores_global_(kind, parameter)
#define _IRQL_always_function_max_(level)
#define _IRQL_always_function_min_(level)
#define _IRQL_uses_cancel_
#define _IRQL_is_cancel_
#define _Function_class_(name)
#define _Dispatch_type_(type)
#define _Kernel_clear_do_init_(answer)
#define _Kernel_float_saved_
#define _Kernel_float_restored_
#define _Kernel_float_used_
#define _Kernel_IoGetDmaAdapter_
#define _Kernel_requires_resource_held_(kind)
#define _Kernel_requires_resource_not_held_(kind)
#define _Kernel_acquires_resource_(kind)
#define _Kernel_releases_resource_(kind)
#define _Strict_type_match_
#define _Enum_is_bitflag_
#define __drv_aliasesMem
#define __drv_allocatesMem(kind)
#define __drv_freesMem(kind)
#define __drv_strictType(type, mode)
#define __drv_strictTypeMatch(mode)
#define __drv_reportError(text)
#define __drv_preferredFunction(name, reason)
#define __drv_maxIRQL(level)
#define __drv_minIRQL(level)
#define __drv_requiresIRQL(level)
#define __drv_sameIRQL
#define __drv_raisesIRQL(level)
#define __drv_savesIRQL
#define __drv_restoresIRQL
#define __drv_functionClass(name)
#define __drv_dispatchType(type)
#define __drv_when(condition, annotation)
#define __drv_at(target, annotation)
#define __drv_in(annotation)
#define __drv_out(annotation)
#define __drv_arg(target, annotation)
#define __drv_inTry
#define __drv_notInTry
#define __drv_clearDoInit(answer)
#define _In_reads_to_ptr_(pointer)
#define _In_reads_to_ptr_opt_(pointer)
#define _In_NLS_string_(size)
#define _Inout_opt_z_
#define _Inout_updates_z_(count)
#define _Inout_updates_opt_z_(count)
#define _Inout_updates_to_(count, used)
#define _Inout_updates_to_opt_(count, used)
#define _Inout_updates_all_opt_(count)
#define _Inout_updates_bytes_all_(count)
#define _Inout_updates_bytes_all_opt_(count)
#define _Inout_updates_bytes_to_opt_(count, used)
#define _Out_writes_opt_z_(count)
#define _Out_writes_all_opt_(count)
#define _Out_writes_to_ptr_(pointer)
#define _Out_writes_to_ptr_z_(pointer)
#define _Out_writes_bytes_all_opt_(count)
#define _Outptr_z_
#define _Outptr_opt_z_
#define _Outptr_result_z_
#define _Outptr_result_maybenull_z_
#define _Outptr_result_buffer_maybenull_(count)
#define _Outptr_result_buffer_all_(count)
#define _Outptr_result_buffer_to_(count, used)
#define _Outptr_opt_result_buffer_(count)
#define _Outptr_opt_result_z_
#define _Outptr_opt_result_nullonfailure_
#define _Outptr_result_bytebuffer_maybenull_(count)
#define _Outptr_result_bytebuffer_all_(count)
#define _Outptr_result_bytebuffer_to_(count, used)
#define _Outptr_opt_result_bytebuffer_(count)
#define _Outref_
#define _Outref_result_maybenull_
#define _Outref_result_nullonfailure_
#define _COM_Outptr_opt_
#define _COM_Outptr_result_maybenull_
#define _COM_Outptr_opt_result_maybenull_
#define _Result_nullonfailure_
#define _Result_zeroonfailure_
#define _Ret_maybenull_z_
#define _Ret_valid_
#define _Ret_writes_z_(count)
#define _Ret_writes_to_(count, used)
#define _Ret_writes_maybenull_(count)
#define _Ret_writes_maybenull_z_(count)
#define _Ret_writes_bytes_to_(count, used)
#define _Deref_in_range_(low, high)
#define _Deref_ret_range_(low, high)
#define _Deref_inout_range_(low, high)
#define _Deref_pre_readonly_
#define _Deref_post_null_
#define _Deref_post_valid_
#define _Deref_prepost_z_
#define _Out_bytecap_(count)
#define _Out_opt_bytecap_(count)
#define _Out_cap_(count)
#define _Out_opt_cap_(count)
#define _Inout_bytecount_(count)
#define _Inout_cap_(count)
#define _Notnull_
#define _Maybenull_
#define _Null_
#define _Valid_
#define _Notvalid_
#define _Unchanged_(target)
#define _Callback_
#define _Scanf_format_string_
#define _Scanf_s_format_string_
#define _Pre_opt_valid_
#define _Pre_readonly_
#define _Pre_readable_size_(count)
#define _Pre_writable_size_(count)
#define _Pre_readable_byte_size_(count)
#define _Pre_writable_byte_size_(count)
#define _Pre_equal_to_(value)
#define _Pre_unknown_
#define _Pre_z_
#define _Post_z_
#define _Post_defensive_
#define _Post_readable_size_(count)
#define _Post_writable_size_(count)
#define _Post_maybez_
#define _Post_same_lock_(one, other)
#define _Prepost_z_
#define _Prepost_valid_
#define _Field_size_full_(count)
#define _Field_size_full_opt_(count)
#define _Field_size_part_opt_(count, used)
#define _Field_size_bytes_full_(count)
#define _Field_size_bytes_full_opt_(count)
#define _Field_size_bytes_part_opt_(count, used)
#define _Analysis_mode_(mode)
#define _Analysis_assume_lock_acquired_(lock) ((void)0)
#define _Analysis_assume_lock_released_(lock) ((void)0)
#define _Analysis_assume_lock_held_(lock) ((void)0)
#define _Analysis_assume_lock_not_held_(lock) ((void)0)
#define _Analysis_assume_same_lock_(one, other) ((void)0)
#define _Analysis_suppress_lock_checking_(lock)
#define _Function_ignore_lock_checking_(lock)
#define _Raises_SEH_exception_
#define _Maybe_raises_SEH_exception_
#define _Interlocked_
#define _Benign_race_begin_
#define _Benign_race_end_
#define _No_competing_thread_
#define _No_competing_thread_begin_
#define _No_competing_thread_end_
#define _Acquires_nonreentrant_lock_(lock)
#define _Releases_nonreentrant_lock_(lock)
#define _Create_lock_level_(level)
#define _Internal_set_lock_count_(count)
#define _IRQL_limited_to_(level)
#define _Kernel_entry_
#define _Kernel_entry_always_
#define _Kernel_acquires_resource_global_(kind, target)
#define _Kernel_releases_resource_global_(kind, target)
#define _Kernel_requires_resource_held_global_(kind, target)
#define _Kernel_requires_resource_not_held_global_(kind, target)
#define _Kernel_maybe_requires_resource_held_(kind)
#define _Flt_CompletionContext_Outptr_
#define _Flt_ConnectionCookie_Outptr_
#define __analysis_hint(hint) ((void)0)
#define __drv_acquiresResource(kind)
#define __drv_acquiresResourceGlobal(kind, parameter)
#define __drv_acquiresExclusiveResource(kind)
#define __drv_acquiresExclusiveResourceGlobal(kind, parameter)
#define __drv_acquiresCancelSpinLock
#define __drv_acquiresCriticalRegion
#define __drv_releasesResource(kind)
#define __drv_releasesResourceGlobal(kind, parameter)
#define __drv_releasesExclusiveResource(kind)
#define __drv_releasesExclusiveResourceGlobal(kind, parameter)
#define __drv_releasesCancelSpinLock
#define __drv_releasesCriticalRegion
#define __drv_mustHold(kind)
#define __drv_mustHoldGlobal(kind, parameter)
#define __drv_mustHoldCancelSpinLock
#define __drv_mustHoldCriticalRegion
#define __drv_neverHold(kind)
#define __drv_neverHoldGlobal(kind, parameter)
#define __drv_neverHoldCancelSpinLock
#define __drv_neverHoldCriticalRegion
#define __drv_mustHoldPriorityRegion
#define __drv_neverHoldPriorityRegion
#define __drv_acquiresPriorityRegion
#define __drv_releasesPriorityRegion
#define __drv_maxFunctionIRQL(level)
#define __drv_minFunctionIRQL(level)
#define __drv_setsIRQL(level)
#define __drv_savesIRQLGlobal(kind, parameter)
#define __drv_restoresIRQLGlobal(kind, parameter)
#define __drv_useCancelIRQL
#define __drv_isCancelIRQL
#define __drv_floatSaved
#define __drv_floatRestored
#define __drv_floatUsed
#define __drv_interlocked
#define __drv_isObjectPointer
#define __drv_constant
#define __drv_nonConstant
#define __drv_valueIs(list)
#define __drv_ret(annotation)
#define __drv_fun(annotation)
#define __drv_deref(annotation)
#define __drv_group(annotation)
#define __drv_in_deref(annotation)
#define __drv_out_deref(annotation)
#define __drv_nop(annotation)
#define __drv_callbackType(kind)
#define __drv_callContext
#define __drv_defaultContext
#define __drv_clearDoInitReturn
#define __drv_completionType(kind)
#define __drv_formatString(kind)
#define __drv_innerMustHoldGlobal(kind, parameter)
#define __drv_innerNeverHoldGlobal(kind, parameter)
#define __drv_nonNullReturn
#define __drv_reallocatesMem(kind)
#define __drv_unit(kind)
#define __drv_notPointer
#define __drv_IoGetDmaAdapter

#ifndef __cplusplus
#define __in
#define __in_opt
#define __in_bcount(count)
#define __in_bcount_opt(count)
#define __in_ecount(count)
#define __in_ecount_opt(count)
#define __inout
#define __inout_opt
#define __inout_bcount(count)
#define __inout_ecount(count)
#define __out
#define __out_opt
#define __out_bcount(count)
#define __out_bcount_opt(count)
#define __out_bcount_part(count, used)
#define __out_ecount(count)
#define __out_ecount_opt(count)
#define __out_ecount_part(count, used)
#define __deref_out
#define __deref_opt_out
#define __deref_inout
#define __checkReturn
#define __in_z
#define __in_z_opt
#define __in_ecount_z(count)
#define __in_data_source(kind)
#define __in_range(low, high)
#define __inout_z
#define __inout_bcount_opt(count)
#define __inout_bcount_part(count, used)
#define __inout_ecount_opt(count)
#define __inout_ecount_part(count, used)
#define __out_z
#define __out_ecount_z(count)
#define __out_ecount_full(count)
#define __out_ecount_part_opt(count, used)
#define __out_bcount_full(count)
#define __out_bcount_part_opt(count, used)
#define __deref_out_ecount(count)
#define __deref_out_bcount(count)
#define __deref_out_bcount_opt(count)
#define __deref_out_opt
#define __deref_out_z
#define __deref_opt_out_opt
#define __deref_inout_opt
#define __deref_opt_inout
#define __field_bcount(count)
#define __field_ecount(count)
#define __field_bcount_opt(count)
#define __field_ecount_opt(count)
#define __field_range(low, high)
#define __nullterminated
#define __nullnullterminated
#define __success(condition)
#define __on_failure(annotation)
#define __range(low, high)
#define __callback
#define __format_string
#define __typefix(type)
#define __override
#define __kernel_entry
#define __fallthrough
#endif
/* clang-format on */

#endif
