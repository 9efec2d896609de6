// Lua runs a health script, in the interpreter that Argo CD runs it in, over the JSON objects on standard input.
package main

import (
	"encoding/json"
	"errors"
	"io"
	"log"
	"os"

	lua "github.com/yuin/gopher-lua"
)

func value(state *lua.LState, from any) lua.LValue {
	switch typed := from.(type) {
	case map[string]any:
		table := state.NewTable()
		for name, member := range typed {
			table.RawSetString(name, value(state, member))
		}
		return table
	case []any:
		table := state.NewTable()
		for _, member := range typed {
			table.Append(value(state, member))
		}
		return table
	case string:
		return lua.LString(typed)
	case float64:
		return lua.LNumber(typed)
	case bool:
		return lua.LBool(typed)
	}
	return lua.LNil
}

func main() {
	log.SetFlags(0)
	input, output := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var object map[string]any
		if err := input.Decode(&object); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			log.Fatal(err)
		}
		state := lua.NewState(lua.Options{SkipOpenLibs: true})
		lua.OpenBase(state) // no io, os or modules, as in Argo CD
		state.SetGlobal("obj", value(state, object))
		if err := state.DoFile(os.Args[1]); err != nil {
			log.Fatal(err)
		}
		answer := state.CheckTable(-1)
		health := map[string]string{
			"status":  answer.RawGetString("status").String(),
			"message": answer.RawGetString("message").String(),
		}
		if err := output.Encode(health); err != nil {
			log.Fatal(err)
		}
		state.Close()
	}
}
