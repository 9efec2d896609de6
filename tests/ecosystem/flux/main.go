// Flux does with the objects on standard input (JSON, one after the other) what Flux's kustomize-controller does, by its own library:
// `apply` prints a line for each, created, configured or unchanged; `wait` ends when all are ready, and fails as soon as one has failed.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/polling"
	"github.com/fluxcd/pkg/ssa"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	runtimelog "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
)

func main() {
	log.SetFlags(0)
	runtimelog.SetLogger(zap.New(zap.WriteTo(io.Discard)))
	if err := run(os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

func run(verb string) error {
	objects, err := read(os.Stdin)
	if err != nil {
		return err
	}
	configuration, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		return err
	}
	reader, err := client.New(configuration, client.Options{})
	if err != nil {
		return err
	}
	poller := polling.NewStatusPoller(reader, reader.RESTMapper(), polling.Options{})
	owner := ssa.Owner{Field: "kustomize-controller", Group: "kustomize.toolkit.fluxcd.io"}
	manager := ssa.NewResourceManager(reader, poller, owner)
	if verb == "wait" {
		return manager.Wait(objects, ssa.WaitOptions{Interval: 500 * time.Millisecond, Timeout: time.Minute, FailFast: true})
	}
	manager.SetOwnerLabels(objects, "plans", "flux-system")
	options := ssa.DefaultApplyOptions()
	options.Cleanup.FieldManagers = []ssa.FieldManager{ // what people change by kubectl is taken over, and so undone
		{Name: "kubectl", OperationType: metav1.ManagedFieldsOperationApply},
		{Name: "kubectl", OperationType: metav1.ManagedFieldsOperationUpdate},
	}
	changes, err := manager.ApplyAll(context.Background(), objects, options)
	if err != nil {
		return err
	}
	for _, change := range changes.Entries {
		fmt.Println(change.Action)
	}
	return nil
}

func read(input io.Reader) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	for decoder := json.NewDecoder(input); ; {
		var raw json.RawMessage
		if err := decoder.Decode(&raw); errors.Is(err, io.EOF) {
			return objects, nil
		} else if err != nil {
			return nil, err
		}
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(raw); err != nil { // which keeps integers
			return nil, err
		}
		objects = append(objects, object)
	}
}
