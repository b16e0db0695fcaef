// The page's own texts. Words in braces are filled in.

const WORDS = {
  en: {
    language: "中文", new: "New chat", conversations: "Conversations", conversation: "Conversation", export: "Export", import: "Import",
    model: "Model", theme: "Light or dark", settings: "Settings", system: "System prompt", thinking: "Thinking", on: "on", off: "off",
    budget: "Thinking budget (tokens)", unlimited: "unlimited", vote: "Vote of samples", one: "one sample", temperature: "Temperature",
    models_own: "the model's own", max_tokens: "Most tokens", window: "what the window leaves", check: "Check the answer",
    no_check: "no check", check_math: "maths: expected answer", check_expression: "countdown: numbers = target",
    check_choice: "choice: expected letter", gold_math: "Expected answer", gold_expression: "Such as 3 7 25 = 46", gold_choice: "Such as B",
    key: "API key", key_hint: "kept until the tab is closed", ask: "Ask something", send: "Send", stop: "Stop",
    warning: "A small model that thinks: it makes mistakes. A green badge means checked by a verifier; agreement of samples is no check.",
    keys_help: "Keys: Enter sends, Shift+Enter is a new line, Esc stops, Alt+A answer now, Alt+R regenerates, Alt+N new chat.",
    empty: "What shall the model think about?", thinking_now: "Thinking for {seconds} s, {tokens} tokens", thought: "Thought for {seconds} s, {tokens} tokens",
    thought_of_sample: "Thought", answer_now: "Answer now", edit: "Edit", regenerate: "Regenerate", copy: "Copy", copied: "Copied", cancel: "Cancel", save: "Send",
    earlier: "Earlier branch", later: "Later branch", delete: "Delete", delete_sure: "Delete this conversation?", you: "You", assistant: "Model",
    waiting: "Waiting for the model", stopped: "Stopped; what was there is kept.", length: "The limit of tokens was reached.", filtered: "Withheld by this server's rules.",
    failed: "It went wrong: {why}", cut: "the connection ended before the reply was whole", away: "the server does not answer",
    ignored: "This server does not know and left out: {names}.", no_vote: "This server did not vote: the answer is of one sample.",
    no_check_came: "This server did not check the answer.", voting: "Voting: {done} of {of} samples", voted: "{votes} of {of} samples agree. Agreement is no check.",
    sample: "Sample {number}", samples_missing: "The server sent no samples.", no_answer: "(no answer)",
    right: "checked: right", wrong: "checked: wrong", cannot_tell: "could not be checked",
    reply_meter: "prompt {hit} cached + {miss} new, {written} written, {rate} tokens/s", cost: "{amount} {currency}", total: "{tokens} tokens",
    full: "The browser's storage is full: this conversation is kept only until the tab is closed. Export it, or delete others.",
    damaged: "A stored conversation cannot be read: {why}.", no_conversation: "This file is no conversation of ponder: {why}.", bad_gold: "What is expected cannot be read: {text}", needs_key: "This server asks for a key: enter it under Settings.", marked: "Words by which a thought turns on itself are marked.",
  },
  zh: {
    language: "English", new: "新对话", conversations: "对话列表", conversation: "对话", export: "导出", import: "导入",
    model: "模型", theme: "浅色或深色", settings: "设置", system: "系统提示", thinking: "思考", on: "开", off: "关",
    budget: "思考预算（词元）", unlimited: "不限", vote: "投票样本数", one: "单个样本", temperature: "温度",
    models_own: "模型默认", max_tokens: "最多词元", window: "窗口余量", check: "检验答案",
    no_check: "不检验", check_math: "数学：标准答案", check_expression: "凑数：数字 = 目标", check_choice: "选择题：标准选项",
    gold_math: "标准答案", gold_expression: "例如 3 7 25 = 46", gold_choice: "例如 B",
    key: "API 密钥", key_hint: "仅保留到关闭标签页", ask: "请输入问题", send: "发送", stop: "停止",
    warning: "这是会思考的小模型，可能出错。绿色徽章表示经检验器核对；样本一致不等于正确。",
    keys_help: "快捷键：Enter 发送，Shift+Enter 换行，Esc 停止，Alt+A 立即回答，Alt+R 重新生成，Alt+N 新对话。",
    empty: "想让模型思考什么？", thinking_now: "正在思考 {seconds} 秒，{tokens} 词元", thought: "已思考 {seconds} 秒，{tokens} 词元",
    thought_of_sample: "思考过程", answer_now: "立即回答", edit: "编辑", regenerate: "重新生成", copy: "复制", copied: "已复制", cancel: "取消", save: "发送",
    earlier: "上一分支", later: "下一分支", delete: "删除", delete_sure: "删除这个对话？", you: "您", assistant: "模型",
    waiting: "等待模型", stopped: "已停止，已有内容保留。", length: "已达到词元上限。", filtered: "已被服务器规则拦截。",
    failed: "出错了：{why}", cut: "回复未完成，连接已断开", away: "服务器没有响应",
    ignored: "服务器不认识并忽略了：{names}。", no_vote: "服务器没有投票：答案来自单个样本。",
    no_check_came: "服务器没有检验答案。", voting: "投票中：{done} / {of}", voted: "{of} 个样本中 {votes} 个一致。一致不等于正确。",
    sample: "样本 {number}", samples_missing: "服务器没有发来样本。", no_answer: "（无答案）",
    right: "检验：正确", wrong: "检验：错误", cannot_tell: "无法检验",
    reply_meter: "提示 {hit} 缓存 + {miss} 新，输出 {written}，{rate} 词元/秒", cost: "{amount} {currency}", total: "{tokens} 词元",
    full: "浏览器存储已满：此对话只保留到关闭标签页。请导出，或删除其他对话。",
    damaged: "有一个已存对话无法读取：{why}。", no_conversation: "此文件不是 ponder 的对话：{why}。", bad_gold: "无法读取标准答案：{text}", needs_key: "服务器要求密钥：请在设置中输入。", marked: "标出了思考中自我反省的词语。",
  },
};

let spoken = "en";

function say(name, values = {}) {
  return WORDS[spoken][name].replace(/\{(\w+)\}/g, (_, key) => values[key]);
}
