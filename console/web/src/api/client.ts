// Every request goes through here: JSON in and out, the CSRF token, errors in both languages.
import type { components } from './types'

export type Schemas = components['schemas']
export type Fault = Schemas['Error'] & { status: number }

let csrf = ''
let onSignedOut: () => void = () => {}

export function useToken(token: string) {
  csrf = token
}
export function whenSignedOut(then: () => void) {
  onSignedOut = then
}
export function isFault(error: unknown): error is Fault {
  return typeof error === 'object' && error !== null && 'zh' in error && 'en' in error
}

async function send(method: string, path: string, body?: unknown): Promise<Response> {
  const headers: Record<string, string> = {}
  if (method !== 'GET') headers['X-CSRF-Token'] = csrf
  if (body !== undefined) headers['Content-Type'] = 'application/json'
  let response: Response
  try {
    response = await fetch(path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: 'same-origin',
      cache: 'no-store',
    })
  } catch {
    throw { status: 0, code: 'unavailable', zh: '无法连接控制台服务', en: 'The console does not answer' } as Fault
  }
  if (response.ok) return response
  if (response.status === 401) onSignedOut()
  let fault: Partial<Fault> = {}
  try {
    fault = await response.json()
  } catch {
    // Not from our own code: the status has to do.
  }
  throw { code: 'io', zh: `请求失败（${response.status}）`, en: `The request failed (${response.status})`, ...fault, status: response.status } as Fault
}

export async function get<T>(path: string, query: Record<string, string | undefined> = {}): Promise<T> {
  const given = Object.entries(query).filter((each): each is [string, string] => !!each[1])
  const text = new URLSearchParams(given).toString()
  return (await send('GET', text ? `${path}?${text}` : path)).json()
}
export async function act<T = void>(method: 'POST' | 'PUT' | 'DELETE', path: string, body?: unknown): Promise<T> {
  const response = await send(method, path, body)
  return (response.status === 204 ? undefined : await response.json()) as T
}

// Saves what the server sends, under the name that it gives.
export async function save(method: 'GET' | 'POST', path: string, body?: unknown) {
  const response = await send(method, path, body)
  const name = /filename="([^"]+)"/.exec(response.headers.get('Content-Disposition') ?? '')?.[1] ?? 'download'
  const url = URL.createObjectURL(await response.blob())
  const link = document.createElement('a')
  link.href = url
  link.download = name
  link.click()
  URL.revokeObjectURL(url)
}
