// What a page shows while it asks: loading, the answer, or the fault.
import { ElMessage } from 'element-plus'
import { ref, shallowRef } from 'vue'
import { isFault, type Fault } from './api/client'
import { both } from './ui'

export function useLoad<T>(ask: () => Promise<T>) {
  const data = shallowRef<T>()
  const fault = ref<Fault>()
  const loading = ref(false)
  async function load() {
    loading.value = true
    try {
      data.value = await ask()
      fault.value = undefined
    } catch (error) {
      if (!isFault(error)) throw error
      fault.value = error
    } finally {
      loading.value = false
    }
  }
  return { data, fault, loading, load }
}
// Runs an act and tells how it went.
export async function attempt(done: string, work: () => Promise<unknown>) {
  try {
    await work()
    if (done) ElMessage({ type: 'success', message: done })
    return true
  } catch (error) {
    if (!isFault(error)) throw error
    ElMessage({ type: 'error', message: both(error), duration: 6000, showClose: true })
    return false
  }
}
