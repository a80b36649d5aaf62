/* SPDX-License-Identifier: MIT */
/*
 * Annotations of driver code (SAL), all of them empty: a C compiler on Linux cannot check them.
 *
 * The first group is the language as it is written today. The second group, the older lower-case
 * words, exists in C only: C++ libraries use some of them as names of their own.
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
#define __reserved
#define __checkReturn
#endif
/* clang-format on */

#endif
